//! The terminal that log lines and progress bars share: a line never tears a bar.

use std::io::{self, Write};
use std::sync::OnceLock;

use indicatif::{MultiProgress, ProgressDrawTarget};

/// The bars of this process, on standard error; they draw nothing where that is no terminal.
pub(crate) fn bars() -> &'static MultiProgress {
    static BARS: OnceLock<MultiProgress> = OnceLock::new();
    BARS.get_or_init(|| MultiProgress::with_draw_target(ProgressDrawTarget::stderr()))
}

/// Standard error for log lines, each written in one piece while the bars stand aside.
#[derive(Default)]
pub(crate) struct Lines(Vec<u8>);

impl Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        let line = std::mem::take(&mut self.0);
        if line.is_empty() {
            return Ok(());
        }
        bars().suspend(|| io::stderr().lock().write_all(&line))
    }
}

impl Drop for Lines {
    fn drop(&mut self) {
        // Nobody is left to tell: standard error is where errors go.
        let _ = self.flush();
    }
}
