//! Children with captured output: started, watched, signalled, killed.

use std::ffi::{OsStr, OsString};
use std::fs::{self, File};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::{Pid, Signal, kill_process};

use crate::http;
use crate::spawner;
use crate::terminal;
use crate::wait::{try_until, wait_until};

/// How many lines of a process's output a failed test shows.
const LINES_SHOWN: usize = 120;

/// What to start and how; can be started again and again.
#[derive(Clone, Debug)]
pub struct Launch {
    name: String,
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(OsString, Option<OsString>)>,
    logs: PathBuf,
    in_terminal: bool,
}

impl Launch {
    /// A program that writes its output to a new file `name-<n>.log` in the directory `logs` at each start.
    pub fn new(name: impl Into<String>, program: impl Into<PathBuf>, logs: impl Into<PathBuf>) -> Self {
        let logs = logs.into();
        let (name, program) = (name.into(), program.into());
        Self { name, program, arguments: Vec::new(), environment: Vec::new(), logs, in_terminal: false }
    }

    /// Adds one argument.
    pub fn arg(mut self, argument: impl AsRef<OsStr>) -> Self {
        self.arguments.push(argument.as_ref().to_owned());
        self
    }

    /// Adds arguments.
    pub fn args<A: AsRef<OsStr>>(self, arguments: impl IntoIterator<Item = A>) -> Self {
        arguments.into_iter().fold(self, Self::arg)
    }

    /// The same with another value of a flag that it has.
    ///
    /// # Panics
    /// When it has no such flag.
    #[track_caller]
    pub fn with_flag(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        let place = self.arguments.iter().position(|argument| argument == name);
        let Some(old) = place.and_then(|place| self.arguments.get_mut(place + 1)) else {
            panic!("{} is not started with {name}", self.name);
        };
        *old = value.as_ref().to_owned();
        self
    }

    /// Sets a variable for the child.
    pub fn env(mut self, name: impl AsRef<OsStr>, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), Some(value.as_ref().to_owned())));
        self
    }

    /// Keeps a variable of ours from the child.
    pub fn env_remove(mut self, name: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.as_ref().to_owned(), None));
        self
    }

    /// Its output goes to a terminal, what that is told to a file of the same name as otherwise.
    pub fn in_terminal(self) -> Self {
        Self { in_terminal: true, ..self }.env("TERM", "xterm")
    }

    /// Starts it.
    ///
    /// # Errors
    /// The program or the log file cannot be opened; the message names it.
    pub fn start(&self) -> Result<Process> {
        static STARTS: AtomicU32 = AtomicU32::new(1);
        let log = self.logs.join(format!("{}-{}.log", self.name, STARTS.fetch_add(1, Ordering::Relaxed)));
        let output = File::create(&log).with_context(|| format!("cannot write {}", log.display()))?;
        let output = if self.in_terminal {
            terminal::written_to(output).context("cannot open a terminal")?
        } else {
            OwnedFd::from(output)
        };
        let errors = output.try_clone().context("cannot duplicate a file handle")?;
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).stdin(Stdio::null()).stdout(output).stderr(errors);
        for (name, value) in &self.environment {
            match value {
                Some(value) => command.env(name, value),
                None => command.env_remove(name),
            };
        }
        let child = spawner::spawn(command).with_context(|| format!("cannot start {}", self.program.display()))?;
        Ok(Process { name: self.name.clone(), child, log, ended: None })
    }
}

/// A running or ended child. Dropping it kills it; if the test is failing at that moment, its output is printed.
#[derive(Debug)]
pub struct Process {
    name: String,
    child: Child,
    log: PathBuf,
    ended: Option<ExitStatus>,
}

impl Process {
    /// The name it was given.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Everything it has written so far, standard output and error together.
    pub fn output(&self) -> String {
        fs::read(&self.log).map_or_else(
            |error| format!("<cannot read {}: {error}>", self.log.display()),
            |bytes| String::from_utf8_lossy(&bytes).into_owned(),
        )
    }

    /// The file it writes to.
    pub fn log_path(&self) -> &Path {
        &self.log
    }

    /// Its exit status when it has ended, else `None`.
    pub fn ended(&mut self) -> Option<ExitStatus> {
        if self.ended.is_none() {
            self.ended = self.child.try_wait().expect("a child that was not waited for can be asked");
        }
        self.ended
    }

    /// Kills it with SIGKILL and waits until it is gone. Does nothing when it has ended.
    pub fn kill9(&mut self) {
        if self.ended().is_none() {
            // It may end by itself between the question and the signal; waiting then gives that end.
            let _ = self.child.kill();
            self.ended = self.child.wait().ok();
        }
    }

    /// Asks it to end with SIGTERM and waits for that.
    ///
    /// # Panics
    /// When it still runs after `timeout`; its output is shown.
    #[track_caller]
    pub fn terminate(&mut self, timeout: Duration) -> ExitStatus {
        self.signal(Signal::TERM);
        self.wait_end(timeout)
    }

    /// Waits until it ends by itself.
    ///
    /// # Panics
    /// When it still runs after `timeout`.
    #[track_caller]
    pub fn wait_end(&mut self, timeout: Duration) -> ExitStatus {
        let what = format!("{} (pid {}) to end", self.name, self.pid());
        wait_until(&what, timeout, || self.ended().ok_or("it runs"))
    }

    /// Freezes it (SIGSTOP): it keeps its memory and connections and answers nobody.
    pub fn freeze(&mut self) {
        self.signal(Signal::STOP);
    }

    /// Lets it run on after [`Process::freeze`].
    pub fn thaw(&mut self) {
        self.signal(Signal::CONT);
    }

    /// Sends SIGHUP: reload.
    pub fn hang_up(&mut self) {
        self.signal(Signal::HUP);
    }

    /// Waits until GET of `url` answers 200.
    ///
    /// # Errors
    /// It ended before, or did not answer in time; the text says which, with its output.
    pub fn wait_ready(&mut self, url: &str, timeout: Duration) -> Result<()> {
        let what = format!("{} to answer at {url}", self.name);
        let mut death = None;
        let waited = try_until(&what, timeout, || {
            death = self.ended();
            // An early end is no reason to wait on: leave the loop and report it below.
            if death.is_some() { Ok(()) } else { http::get(url)?.expect_status(200).map(drop) }
        });
        match (death, waited) {
            (Some(status), _) => anyhow::bail!("{} ended at start: {status}\n{}", self.name, self.tail()),
            (None, Err(message)) => anyhow::bail!("{message}\n{}", self.tail()),
            (None, Ok(())) => Ok(()),
        }
    }

    /// The last lines of its output, with a heading.
    pub fn tail(&self) -> String {
        let output = self.output();
        let lines: Vec<&str> = output.lines().collect();
        let from = lines.len().saturating_sub(LINES_SHOWN);
        format!("---- {} (pid {}), last lines ----\n{}\n", self.name, self.pid(), lines[from..].join("\n"))
    }

    fn signal(&mut self, signal: Signal) {
        if self.ended().is_none() {
            let pid = Pid::from_child(&self.child);
            kill_process(pid, signal).expect("a child that was not waited for can be signalled");
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("{}", self.tail());
        }
        self.kill9();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wait::{holds_for, same};

    fn shell(script: &str, logs: &Path) -> Process {
        Launch::new("shell", "/bin/sh", logs).arg("-c").arg(script).start().expect("sh is everywhere")
    }

    #[test]
    fn a_flag_can_be_given_another_value() {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let echo = Launch::new("echo", "/bin/sh", logs.path()).args(["-c", "echo $2", "sh", "--count", "4"]);
        let mut process = echo.with_flag("--count", "8").start().expect("sh is everywhere");
        assert!(process.wait_end(Duration::from_secs(60)).success());
        assert_eq!(process.output(), "8\n");
    }

    #[test]
    fn output_and_exit_code_are_kept() {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let mut process = shell("echo out; echo err >&2; exit 3", logs.path());
        let status = process.wait_end(Duration::from_secs(60));
        assert_eq!(status.code(), Some(3));
        assert_eq!(process.output(), "out\nerr\n");
    }

    #[test]
    fn sigterm_reaches_the_process() {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let mut process = shell("trap 'echo bye; exit 0' TERM; echo up; while :; do sleep 0.05; done", logs.path());
        wait_until("the trap to be set", Duration::from_secs(60), || {
            if process.output().contains("up") { Ok(()) } else { Err("nothing") }
        });
        assert!(process.terminate(Duration::from_secs(60)).success());
        assert!(process.output().ends_with("bye\n"));
    }

    #[test]
    fn a_frozen_process_does_nothing_until_thawed() {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let mut process = shell("while :; do echo tick; sleep 0.01; done", logs.path());
        process.freeze();
        let state = format!("/proc/{}/stat", process.pid());
        wait_until("the kernel to stop it", Duration::from_secs(60), || {
            let stat = fs::read_to_string(&state).expect("it is there");
            if stat.contains(") T ") { Ok(()) } else { Err(stat) }
        });
        let before = process.output().len();
        holds_for("a frozen process is silent", Duration::from_millis(200), || same(process.output().len(), before));
        process.thaw();
        wait_until("more ticks", Duration::from_secs(60), || {
            if process.output().len() > before { Ok(()) } else { Err("no tick") }
        });
        process.kill9();
        assert!(process.ended().is_some_and(|status| !status.success()));
    }

    #[test]
    fn an_early_end_is_reported_with_its_output() {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let mut process = shell("echo 'no such file: plan.yml'; exit 1", logs.path());
        let error =
            process.wait_ready("http://127.0.0.1:1/", Duration::from_secs(30)).expect_err("nobody answers there");
        let text = error.to_string();
        assert!(text.contains("ended at start") && text.contains("plan.yml"), "{text}");
    }
}
