//! A page on the notifier's own terminal: what `beacon up` does without any configuration.
//!
//! Meant for one person who tries Beacon or debugs a plan. A page is written in one piece, so that pages never mix.

use std::{
    fmt,
    io::{self, IsTerminal, Write},
    sync::Arc,
};

use beacon_proto::v1::Notification;
use tokio::sync::Mutex;

use crate::{
    attempt::Attempt,
    render::page::{self, Colour},
};

/// Where pages are written. Clones write to the same place.
#[derive(Clone)]
pub struct Terminal {
    out: Arc<Mutex<Box<dyn Write + Send>>>,
    colour: Colour,
}

impl Terminal {
    /// Writes to `out`.
    pub fn new(out: impl Write + Send + 'static, colour: Colour) -> Self {
        Self { out: Arc::new(Mutex::new(Box::new(out))), colour }
    }

    /// Writes to standard output: in colour on a terminal, unless `NO_COLOR` is set (<https://no-color.org>).
    pub fn stdout() -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        let colour = if io::stdout().is_terminal() && !plain { Colour::Ansi } else { Colour::Plain };
        Self::new(io::stdout(), colour)
    }

    /// Writes one page, after those that were begun before.
    ///
    /// A terminal that takes nothing (stopped with ctrl-S) keeps its first page and its thread waiting; further pages wait
    /// without one, until the caller drops them.
    pub async fn send(&self, notification: &Notification) -> Attempt {
        let page = page::text(notification, self.colour);
        let mut out = Arc::clone(&self.out).lock_owned().await;
        // Writing blocks for as long as the terminal is stopped: not on a thread that others need.
        let written = tokio::task::spawn_blocking(move || {
            out.write_all(page.as_bytes())?;
            out.flush()
        });
        match written.await {
            Ok(Ok(())) => Attempt::Accepted { detail: "printed".to_owned() },
            Ok(Err(error)) => Attempt::Retry { detail: format!("cannot print the page: {error}"), after: None },
            Err(error) => Attempt::Retry { detail: format!("printing the page was interrupted: {error}"), after: None },
        }
    }
}

impl fmt::Debug for Terminal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Terminal").field("colour", &self.colour).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;
    use crate::render::sample;

    struct Pages(mpsc::Sender<Vec<u8>>);

    impl Write for Pages {
        fn write(&mut self, page: &[u8]) -> io::Result<usize> {
            self.0.send(page.to_vec()).map_err(io::Error::other)?;
            Ok(page.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[tokio::test]
    async fn page_is_written_in_one_piece() {
        let (sender, pages) = mpsc::channel();
        let terminal = Terminal::new(Pages(sender), Colour::Plain);
        assert_eq!(terminal.send(&sample::two_alerts()).await, Attempt::Accepted { detail: "printed".to_owned() });
        let page = String::from_utf8(pages.try_recv().unwrap()).unwrap();
        assert_eq!(page, page::text(&sample::two_alerts(), Colour::Plain));
        assert!(pages.try_recv().is_err());
    }

    #[tokio::test]
    async fn closed_terminal_is_tried_again() {
        let (sender, pages) = mpsc::channel();
        drop(pages);
        let attempt = Terminal::new(Pages(sender), Colour::Plain).send(&sample::two_alerts()).await;
        assert!(matches!(attempt, Attempt::Retry { .. }), "{attempt:?}");
    }
}
