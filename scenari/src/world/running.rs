//! The processes of a world: started, killed, stopped, looked at.

use std::process::ExitStatus;
use std::time::Duration;

use super::World;
use super::members::Role;
use crate::process::Process;

/// A stop finishes deliveries under way, for eight seconds at most, and the commit in hand.
const STOP: Duration = Duration::from_secs(30);
/// A start on Kafka makes topics; under Rust's debug profile and with two cores that takes its time.
const START: Duration = Duration::from_secs(60);

impl World {
    /// Starts every member that does not run, and waits until the API is ready.
    #[track_caller]
    pub fn start_all(&mut self) {
        for index in 0..self.members.len() {
            self.start_member(index);
        }
        self.wait_ready(self.index(Role::Gateway));
    }

    /// Starts one member; on the embedded log, the process. Does nothing when it runs.
    #[track_caller]
    pub fn start(&mut self, role: Role) {
        let index = self.index(role);
        self.start_member(index);
        if matches!(self.members[index].role, Role::Gateway | Role::OtherGateway) {
            self.wait_ready(index);
        }
    }

    #[track_caller]
    fn start_member(&mut self, index: usize) {
        let member = &mut self.members[index];
        if member.process.as_mut().is_none_or(|process| process.ended().is_some()) {
            let process = member.launch.start().unwrap_or_else(|error| panic!("{error:#}"));
            member.process = Some(process);
        }
    }

    #[track_caller]
    fn wait_ready(&mut self, index: usize) {
        let role = self.members[index].role;
        let ready = format!("{}/-/ready", self.url_of(role));
        if let Err(error) = self.process(role).wait_ready(&ready, START) {
            panic!("{error:#}");
        }
    }

    /// Kills every process at the same moment, as a power cut would.
    pub fn kill9_all(&mut self) {
        for member in &mut self.members {
            if let Some(process) = &mut member.process {
                process.kill9();
            }
        }
    }

    /// Kills one member; on the embedded log, the process.
    #[track_caller]
    pub fn kill9(&mut self, role: Role) {
        self.process(role).kill9();
    }

    /// SIGTERM to one member; on the embedded log, to the process. Does nothing when it has ended.
    ///
    /// # Panics
    /// As [`World::stop_all`].
    #[track_caller]
    pub fn stop(&mut self, role: Role) {
        let process = self.process(role);
        if process.ended().is_none() {
            let status = process.terminate(STOP);
            assert!(status.success(), "{role:?} ended with {status} on SIGTERM\n{}", process.tail());
        }
    }

    /// The member's process, to freeze it or look at its output.
    ///
    /// # Panics
    /// When it was never started.
    #[track_caller]
    pub fn process(&mut self, role: Role) -> &mut Process {
        let index = self.index(role);
        self.members[index].process.as_mut().expect("every member of a world was started")
    }

    /// SIGTERM to every member; returns when all have ended.
    ///
    /// # Panics
    /// When one takes longer than 30 s, or ends otherwise than with exit code 0.
    #[track_caller]
    pub fn stop_all(&mut self) {
        for member in self.members.iter_mut().rev() {
            let Some(process) = &mut member.process else { continue };
            if process.ended().is_none() {
                let status: ExitStatus = process.terminate(STOP);
                assert!(status.success(), "{:?} ended with {status} on SIGTERM\n{}", member.role, process.tail());
            }
        }
    }

    /// Panics when a member that was started is no longer running.
    #[track_caller]
    pub fn assert_alive(&mut self) {
        for member in &mut self.members {
            if let Some(process) = &mut member.process
                && let Some(status) = process.ended()
            {
                panic!("{:?} ended by itself with {status}\n{}", member.role, process.tail());
            }
        }
    }
}
