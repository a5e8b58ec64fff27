//! A terminal that nobody sits at: a child that writes to it believes that somebody looks.

use std::ffi::CStr;
use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::OwnedFd;
use std::thread;

use rustix::fs::{Mode, OFlags, open};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

/// Wide enough for a line of Beacon's.
const SIZE: Winsize = Winsize { ws_row: 50, ws_col: 160, ws_xpixel: 0, ws_ypixel: 0 };

/// Opens one, whose screen is written down in a file as it comes, control characters and all; returns the child's end.
///
/// # Errors
/// The machine has no more terminals.
pub(crate) fn written_to(mut file: File) -> io::Result<OwnedFd> {
    let ours = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    grantpt(&ours)?;
    unlockpt(&ours)?;
    tcsetwinsize(&ours, SIZE)?;
    let name = ptsname(&ours, Vec::new())?;
    let theirs = opened(&name)?;
    let mut screen = File::from(ours);
    thread::Builder::new().name("terminal".to_owned()).spawn(move || {
        let mut piece = [0; 4096];
        // Reading fails when the last one that had the other end is gone.
        while let Ok(read @ 1..) = screen.read(&mut piece) {
            if file.write_all(&piece[..read]).is_err() {
                break;
            }
        }
    })?;
    Ok(theirs)
}

/// Not as the terminal that this process is controlled from.
fn opened(name: &CStr) -> io::Result<OwnedFd> {
    Ok(open(name, OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC, Mode::empty())?)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use crate::process::Launch;
    use crate::wait::wait_until;

    #[test]
    fn a_child_in_a_terminal_has_one_of_a_size_and_others_have_none() {
        let logs = tempfile::tempdir().expect("a temporary directory");
        let script = "test -t 1 && test -t 2 && stty size <&2 || echo none; printf 'half\\rwhole' >&2";
        let shell = Launch::new("shell", "/bin/sh", logs.path()).args(["-c", script]);
        for (launch, wanted) in [(shell.clone(), "none\nhalf\rwhole"), (shell.in_terminal(), "50 160\r\nhalf\rwhole")] {
            let mut process = launch.start().expect("sh is everywhere");
            assert!(process.wait_end(Duration::from_secs(60)).success());
            wait_until("all of its output", Duration::from_secs(60), || {
                crate::wait::same(process.output().as_str(), wanted)
            });
        }
    }
}
