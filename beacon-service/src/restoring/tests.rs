use std::io;
use std::sync::{Arc, Mutex, PoisonError};

use beacon_core::task::TaskId;
use indicatif::{ProgressDrawTarget, TermLike};

use super::*;

const WIDTH: usize = 120;

/// A terminal in memory: what somebody who looks at it sees.
#[derive(Clone, Debug, Default)]
struct Screen(Arc<Mutex<Sheet>>);

#[derive(Debug, Default)]
struct Sheet {
    rows: Vec<Vec<char>>,
    row: usize,
    column: usize,
}

impl Sheet {
    fn put(&mut self, letter: char) {
        match letter {
            '\r' => self.column = 0,
            '\n' => (self.row, self.column) = (self.row + 1, 0),
            letter => {
                // As terminals do: a full row is left when there is more, and not before.
                if self.column == WIDTH {
                    (self.row, self.column) = (self.row + 1, 0);
                }
                let column = self.column;
                self.current()[column] = letter;
                self.column += 1;
            }
        }
    }

    fn current(&mut self) -> &mut Vec<char> {
        let rows = self.rows.len().max(self.row + 1);
        self.rows.resize(rows, vec![' '; WIDTH]);
        &mut self.rows[self.row]
    }
}

impl Screen {
    fn change(&self, act: impl FnOnce(&mut Sheet)) -> io::Result<()> {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner));
        Ok(())
    }

    /// Its rows that are not blank.
    fn text(&self) -> Vec<String> {
        let sheet = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let rows = sheet.rows.iter().map(|row| row.iter().collect::<String>().trim_end().to_owned());
        rows.filter(|row| !row.is_empty()).collect()
    }

    /// Where one application's restores are shown on it.
    fn restoring(&self, application: &str) -> Restoring {
        let target = ProgressDrawTarget::term_like(Box::new(self.clone()));
        Restoring::among(&MultiProgress::with_draw_target(target), application)
    }
}

impl TermLike for Screen {
    fn width(&self) -> u16 {
        u16::try_from(WIDTH).expect("a width of terminals")
    }

    fn move_cursor_up(&self, n: usize) -> io::Result<()> {
        self.change(|sheet| sheet.row = sheet.row.saturating_sub(n))
    }

    fn move_cursor_down(&self, n: usize) -> io::Result<()> {
        self.change(|sheet| sheet.row += n)
    }

    fn move_cursor_right(&self, n: usize) -> io::Result<()> {
        self.change(|sheet| sheet.column = (sheet.column + n).min(WIDTH))
    }

    fn move_cursor_left(&self, n: usize) -> io::Result<()> {
        self.change(|sheet| sheet.column = sheet.column.saturating_sub(n))
    }

    fn write_line(&self, text: &str) -> io::Result<()> {
        self.change(|sheet| text.chars().chain(['\n']).for_each(|letter| sheet.put(letter)))
    }

    fn write_str(&self, text: &str) -> io::Result<()> {
        self.change(|sheet| text.chars().for_each(|letter| sheet.put(letter)))
    }

    fn clear_line(&self) -> io::Result<()> {
        self.change(|sheet| {
            sheet.current().fill(' ');
            sheet.column = 0;
        })
    }

    fn flush(&self) -> io::Result<()> {
        Ok(())
    }
}

fn restore(phase: RestorePhase, done: u64, total: u64) -> RestoreProgress {
    let elapsed = Duration::from_secs(10);
    RestoreProgress { task: TaskId::Keyed(0), phase, done, total, found: 0, elapsed }
}

#[test]
fn files_and_changelogs_are_told_in_their_own_units_and_come_to_one_bar() {
    let sum = Sum::of(&[
        restore(RestorePhase::Files, 1 << 20, 4 << 20),
        restore(RestorePhase::Files, 0, 0),
        restore(RestorePhase::Changelog, 1500, 20_000),
    ]);
    assert_eq!(sum.text(), "3 tasks, files 1.00 MiB of 4.00 MiB, changelog 1,500 of 20,000");
    assert!((180..220).contains(&sum.permille()), "{}", sum.permille());
}

#[test]
fn nothing_known_is_nothing_done_and_all_done_is_all() {
    assert_eq!(Sum::of(&[restore(RestorePhase::Files, 0, 0)]).permille(), 0);
    assert_eq!(Sum::of(&[restore(RestorePhase::Changelog, 7, 7)]).permille(), 1000);
    assert_eq!(Sum::of(&[restore(RestorePhase::Files, u64::MAX, u64::MAX)]).permille(), 1000);
}

#[test]
fn what_is_left_is_told_as_soon_as_there_is_a_pace() {
    assert_eq!(left_in_words(&[restore(RestorePhase::Files, 250, 1000)]), "30 seconds");
    assert_eq!(left_in_words(&[restore(RestorePhase::Files, 0, 1000)]), "not known yet");
}

#[test]
fn a_terminal_shows_how_far_it_is_and_is_clean_at_the_end() {
    let screen = Screen::default();
    let mut restoring = screen.restoring("pipeline");
    restoring.show(&[]);
    assert_eq!(screen.text(), [""; 0], "nothing is restored, so nothing is shown");

    restoring.show(&[restore(RestorePhase::Files, 1 << 20, 4 << 20)]);
    let shown = screen.text();
    assert_eq!(shown.len(), 1, "{shown:?}");
    assert!(shown[0].starts_with("restoring pipeline "), "{shown:?}");
    assert!(shown[0].contains(" 25 %, time left: 30 seconds, 1 task, files 1.00 MiB of 4.00 MiB"), "{shown:?}");
    assert!(shown[0].contains('█') && shown[0].contains('░'), "a bar that is begun and not full: {shown:?}");

    let two = [restore(RestorePhase::Changelog, 900, 1000), restore(RestorePhase::Changelog, 900, 1000)];
    restoring.show(&two);
    let shown = screen.text();
    assert_eq!(shown.len(), 1, "the same bar goes on: {shown:?}");
    assert!(shown[0].contains(" 90 %, time left: 1 second, 2 tasks, changelog 1,800 of 2,000"), "{shown:?}");

    restoring.show(&[]);
    assert_eq!(screen.text(), [""; 0]);
}

#[test]
fn a_bar_goes_with_the_process_that_ends_in_the_middle() {
    let screen = Screen::default();
    let mut restoring = screen.restoring("pipeline");
    restoring.show(&[restore(RestorePhase::Files, 1, 2)]);
    assert_eq!(screen.text().len(), 1);
    drop(restoring);
    assert_eq!(screen.text(), [""; 0]);
}
