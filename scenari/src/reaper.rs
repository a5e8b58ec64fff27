//! What is to be done when this process is gone, however it went: remove a directory, remove a container.
//!
//! A shell waits on a pipe that only this process holds. The kernel closes it at exit, panic and `kill -9` alike; then
//! the shell acts.

use std::ffi::OsStr;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

/// Acts when dropped, or when this process dies.
pub(crate) struct Reaper {
    child: Child,
}

impl Reaper {
    /// `script` is a line of `sh` in which `"$1"` is `argument`.
    pub(crate) fn new(script: &str, argument: impl AsRef<OsStr>) -> std::io::Result<Self> {
        let child = Command::new("/bin/sh")
            .arg("-c")
            .arg(format!("cat >/dev/null; {script}"))
            .arg("reaper")
            .arg(argument)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A Ctrl-C at the terminal ends us, not the one who cleans up after us.
            .process_group(0)
            .spawn()?;
        Ok(Self { child })
    }
}

impl Drop for Reaper {
    fn drop(&mut self) {
        drop(self.child.stdin.take());
        // A failed wait leaves a zombie until we exit: nothing a test could do about it.
        let _ = self.child.wait();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_script_runs_when_the_reaper_is_dropped() {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let marker = dir.path().join("marker");
        std::fs::write(&marker, "").expect("it can be written");
        let reaper = Reaper::new(r#"rm -f "$1""#, &marker).expect("sh is everywhere");
        assert!(marker.exists());
        drop(reaper);
        assert!(!marker.exists());
    }
}
