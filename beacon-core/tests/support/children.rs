//! The other process: the test program itself, started again with its work in the environment.

use std::io::{BufRead, BufReader};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use super::PATIENCE;

/// A child that dies with this handle.
pub struct Other {
    process: Child,
    /// Children end when it is closed.
    pub stdin: Option<ChildStdin>,
    lines: Receiver<String>,
}

impl Other {
    /// Starts the ignored test `entry` of this program with these variables.
    pub fn start(entry: &str, variables: &[(&str, &str)]) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        Self::spawn(&mut command, entry, variables)
    }

    /// The same by a command whose further arguments are the program and its own.
    pub fn start_by(command: &mut Command, entry: &str, variables: &[(&str, &str)]) -> Self {
        Self::spawn(command.arg(std::env::current_exe().expect("this test")), entry, variables)
    }

    fn spawn(command: &mut Command, entry: &str, variables: &[(&str, &str)]) -> Self {
        let mut process = command
            .args(["--exact", entry, "--ignored", "--nocapture"])
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("this test again");
        let stdin = process.stdin.take();
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let (sender, lines) = channel();
        // Ends with the child, or when nobody listens any more.
        std::thread::spawn(move || stdout.lines().map_while(Result::ok).try_for_each(|line| sender.send(line)));
        Self { process, stdin, lines }
    }

    /// Reads until a line is `wanted`.
    ///
    /// # Panics
    /// When the child ends first, or does not say it in time.
    pub fn wait_for(&mut self, wanted: &str) {
        self.wait_for_line(PATIENCE, wanted, |line| (line == wanted).then_some(()));
    }

    /// Reads until a line begins with `label`, for as long as large work takes; returns the rest of the line.
    ///
    /// # Panics
    /// When the child ends first, or does not say it in time.
    pub fn wait_for_value(&mut self, label: &str) -> String {
        self.wait_for_line(20 * PATIENCE, label, |line| line.strip_prefix(label).map(str::to_owned))
    }

    fn wait_for_line<T>(&mut self, patience: Duration, wanted: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let deadline = Instant::now() + patience;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    if let Some(found) = find(line.trim()) {
                        return found;
                    }
                }
                Err(error) => panic!("the other process did not say {wanted} within {patience:?}: {error}"),
            }
        }
    }

    /// Lets it run for a while, then kills it with -9. `false`: it had ended by itself.
    pub fn kill_after(mut self, while_alive: Duration) -> bool {
        let until = Instant::now() + while_alive;
        while Instant::now() < until {
            if self.process.try_wait().expect("waited").is_some() {
                return false;
            }
            std::thread::sleep(Duration::from_millis(1).min(until.saturating_duration_since(Instant::now())));
        }
        self.kill();
        true
    }

    /// Kills it with -9 as soon as `holds`. `false`: it had ended by itself before.
    pub fn kill_when(mut self, what: &str, mut holds: impl FnMut() -> bool) -> bool {
        let mut ended = false;
        super::wait_until(what, || {
            ended = self.process.try_wait().expect("waited").is_some();
            ended || holds()
        });
        if !ended {
            self.kill();
        }
        !ended
    }

    /// Waits until it has ended by itself.
    ///
    /// # Panics
    /// When it ended in an error, or does not end.
    pub fn wait_for_end(&mut self) {
        super::wait_until("the other process ends", || self.process.try_wait().expect("waited").is_some());
        let status = self.process.wait().expect("waited");
        assert!(status.success(), "the other process ended with {status}");
    }

    /// Kills it with -9.
    pub fn kill(&mut self) {
        self.process.kill().expect("killed");
        self.process.wait().expect("gone");
    }

    /// Sends it a signal by name: `STOP`, `CONT`.
    pub fn signal(&self, name: &str) {
        let id = self.process.id().to_string();
        let done = Command::new("kill").args([&format!("-{name}"), &id]).status().expect("kill runs");
        assert!(done.success(), "kill -{name} {id}");
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Tells the parent something, on a line of its own.
pub fn say(what: &str) {
    println!("\n{what}");
}

/// Blocks until the parent closes this child's stdin or dies.
pub fn wait_for_parent() {
    let mut line = String::new();
    while std::io::stdin().read_line(&mut line).is_ok_and(|read| read > 0) {}
}
