//! What happens to sessions of other processes that are killed or frozen, with real processes and real signals.

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use beacon_core::log::kafka::GroupProtocol;
use beacon_core::log::{CommitError, Isolation, Log, TopicPartition};

use super::support::*;

/// Neither the 6 s that brokers of tests give who asks for nothing, nor the 45 s of others.
const SESSION_TIMEOUT: Duration = Duration::from_secs(12);

/// The program of the other process: this test, started by the tests below with its work in the environment.
#[test]
#[ignore = "started by other tests as a process of its own"]
fn child() {
    let Ok(group) = std::env::var("CHILD_GROUP") else {
        return;
    };
    let variable = |name: &str| std::env::var(name).expect("set by the parent");
    let log = log_speaking(match variable("CHILD_PROTOCOL").as_str() {
        "Consumer" => GroupProtocol::Consumer,
        "Classic" => GroupProtocol::Classic,
        _ => GroupProtocol::Auto,
    });
    let mut config = session_config(&group, &[&variable("CHILD_INPUT")]);
    config.instance_id = std::env::var("CHILD_INSTANCE").ok();
    if config.instance_id.is_none() {
        config.session_timeout = SESSION_TIMEOUT;
        // It is the session that ends while it is frozen, not the transaction or a record on its way.
        config.transaction_timeout = 5 * SESSION_TIMEOUT;
    }
    let mut session = log.session(config).expect("a session");
    let partition = wait_assigned(&mut *session).remove(0).0;
    // A broker goes by the time-out that it knew at a member's last heartbeat, and may hear of the group's own after the first.
    let assigned = Instant::now();
    while assigned.elapsed() < SESSION_TIMEOUT / 6 {
        session.poll(Duration::from_millis(50)).expect("polled");
    }
    session.begin().expect("begun");
    session.send(send_at_once(&variable("CHILD_OUTPUT"), "child")).expect("sent");
    println!("\nREADY");
    let mut line = String::new();
    std::io::stdin().read_line(&mut line).expect("the parent says when");
    let outcome = match session.commit(&[(partition, 1)]) {
        Ok(_) => "COMMITTED",
        Err(CommitError::Fenced(_)) => "FENCED",
        Err(other) => panic!("{other}"),
    };
    println!("\n{outcome}");
}

struct Other {
    process: Child,
    stdin: ChildStdin,
    stdout: BufReader<ChildStdout>,
}

impl Other {
    fn start(protocol: GroupProtocol, group: &str, input: &str, output: &str, instance: Option<&str>) -> Self {
        let mut command = Command::new(std::env::current_exe().expect("this test"));
        command
            .args(["--exact", "kafka::children::child", "--ignored", "--nocapture"])
            .env("CHILD_PROTOCOL", format!("{protocol:?}"))
            .env("CHILD_GROUP", group)
            .env("CHILD_INPUT", input)
            .env("CHILD_OUTPUT", output)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        if let Some(instance) = instance {
            command.env("CHILD_INSTANCE", instance);
        }
        let mut process = command.spawn().expect("started");
        let stdin = process.stdin.take().expect("piped");
        let stdout = BufReader::new(process.stdout.take().expect("piped"));
        let mut other = Self { process, stdin, stdout };
        other.wait_for(&["READY"]);
        other
    }

    fn wait_for(&mut self, wanted: &[&str]) -> String {
        let mut line = String::new();
        loop {
            line.clear();
            let read = self.stdout.read_line(&mut line).expect("readable");
            assert!(read > 0, "the other process ended without saying one of {wanted:?}");
            if wanted.contains(&line.trim()) {
                return line.trim().to_owned();
            }
        }
    }

    fn signal(&self, name: &str) {
        let done = Command::new("kill").args([name, &self.process.id().to_string()]).status().expect("kill runs");
        assert!(done.success());
    }
}

impl Drop for Other {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn frozen_member_is_refused(protocol: GroupProtocol) {
    let log = log_speaking(protocol);
    let (input, output) = (make_topic(&*log, "input", 1), make_topic(&*log, "output", 1));
    let group = unique("group");
    let mut frozen = Other::start(protocol, &group, &input, &output, None);
    frozen.signal("-STOP");
    let stopped = Instant::now();
    let mut config = session_config(&group, &[&input]);
    config.session_timeout = SESSION_TIMEOUT;
    let mut next = log.session(config).expect("a session");
    let partition = wait_assigned(&mut *next).remove(0).0;
    let took = stopped.elapsed();
    println!("{protocol:?}: taken over from a frozen process in {took:?}");
    // Its own session time-out was waited for, under KIP-848 too, where it is a setting of the group on the broker.
    assert!(took > SESSION_TIMEOUT - Duration::from_secs(4), "another, shorter time-out held: {took:?}");
    assert!(took < SESSION_TIMEOUT + Duration::from_secs(28), "another, longer time-out held: {took:?}");
    next.begin().expect("begun");
    next.send(send(&output, "owner")).expect("sent");
    next.commit(&[(partition, 1)]).expect("the owner commits");

    frozen.signal("-CONT");
    writeln!(frozen.stdin, "go").expect("it reads");
    assert_eq!(frozen.wait_for(&["FENCED", "COMMITTED"]), "FENCED");
    frozen.process.wait().expect("it ends");
    let target = TopicPartition::new(output.as_str(), 0);
    let mut reader = log.reader(Isolation::Committed).expect("a reader");
    assert_eq!(read_to_end(&mut *reader, &target, 0).expect("read").0, ["owner"]);
}

#[test]
fn a_frozen_member_whose_partition_moved_is_refused_kip_848() {
    frozen_member_is_refused(GroupProtocol::Consumer);
}

#[test]
fn a_frozen_member_whose_partition_moved_is_refused_classic() {
    frozen_member_is_refused(GroupProtocol::Classic);
}

fn killed_static_member_comes_back(protocol: GroupProtocol) -> Duration {
    let log = log_speaking(protocol);
    let (input, output) = (make_topic(&*log, "input", 2), make_topic(&*log, "output", 1));
    let group = unique("group");
    let mut killed = Other::start(protocol, &group, &input, &output, Some("instance-0"));
    killed.process.kill().expect("killed");
    killed.process.wait().expect("dead");
    let started = Instant::now();
    let mut config = session_config(&group, &[&input]);
    config.instance_id = Some("instance-0".to_owned());
    let mut session = log.session(config).expect("a session");
    assert_eq!(wait_assigned(&mut *session).len(), 2);
    println!("{protocol:?}: a killed static member is back after {:?}", started.elapsed());
    started.elapsed()
}

#[test]
fn a_killed_static_member_is_back_at_once() {
    let took = killed_static_member_comes_back(GroupProtocol::Auto);
    assert!(took < Duration::from_secs(4), "its ghost's session of 6 s was waited for: {took:?}");
}

#[test]
fn a_killed_static_member_comes_back_by_itself_under_kip_848() {
    killed_static_member_comes_back(GroupProtocol::Consumer);
}
