//! A page for a person at a terminal.
//!
//! Looks, top to bottom: what and how bad, then one block per alert with what tells it apart from the others, then its
//! annotations and source. It doesn't wrap lines: terminals do, and a copied line stays whole.

use std::fmt::{Arguments, Write};

use beacon_proto::v1::{Notification, NotifiedAlert, Status};

use super::{pairs, plain, subject, time};

/// Whether a page carries ANSI colour sequences.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    /// Sequences for colours and bold (ECMA-48 SGR).
    Ansi,
    /// Text only.
    Plain,
}

/// The page, several lines, an empty one first. Nothing in the alerts can control the terminal.
pub fn text(notification: &Notification, colour: Colour) -> String {
    let ink = Ink { colour };
    let mut out = String::from("\n");
    let headline = ink.status(notification.status(), &subject::line(notification));
    let receiver = notification.target.as_ref().map_or("", |target| &target.receiver);
    let decided = time::rfc3339(notification.decided_at_ms);
    push(&mut out, format_args!("{headline}\n"));
    push(&mut out, format_args!("{}\n", ink.faint(&format!("to {} at {decided}", plain::one_line(receiver)))));
    for alert in &notification.alerts {
        block(&mut out, ink, notification, alert);
    }
    if notification.truncated_alerts > 0 {
        push(&mut out, format_args!("  {} more not listed here\n", notification.truncated_alerts));
    }
    out
}

fn block(out: &mut String, ink: Ink, notification: &Notification, alert: &NotifiedAlert) {
    let (mark, since) = match alert.status() {
        Status::Resolved => ("resolved", format!("until {}", time::rfc3339(alert.ends_at_ms))),
        Status::Firing | Status::Unspecified => ("firing", format!("since {}", time::rfc3339(alert.starts_at_ms))),
    };
    let own: Vec<String> = pairs::remaining(&alert.labels, &notification.common_labels)
        .map(|(name, value)| format!("{}={}", plain::one_line(name), plain::one_line(value)))
        .collect();
    let own = if own.is_empty() { String::new() } else { format!("  {}", own.join(" ")) };
    push(out, format_args!("  {}{own}  {}\n", ink.status(alert.status(), mark), ink.faint(&since)));
    for (name, value) in pairs::sorted(&alert.annotations) {
        let mut lines = plain::lines(value);
        let first = lines.next().unwrap_or_default();
        push(out, format_args!("    {}: {first}\n", plain::one_line(name)));
        for line in lines {
            push(out, format_args!("      {line}\n"));
        }
    }
    if !alert.generator_url.is_empty() {
        push(out, format_args!("    {}\n", ink.faint(&plain::one_line(&alert.generator_url))));
    }
}

#[derive(Clone, Copy)]
struct Ink {
    colour: Colour,
}

impl Ink {
    fn status(self, status: Status, text: &str) -> String {
        match status {
            Status::Resolved => self.paint("1;32", text),
            Status::Firing | Status::Unspecified => self.paint("1;31", text),
        }
    }

    fn faint(self, text: &str) -> String {
        self.paint("2", text)
    }

    fn paint(self, code: &str, text: &str) -> String {
        match self.colour {
            Colour::Ansi => format!("\x1b[{code}m{text}\x1b[0m"),
            Colour::Plain => text.to_owned(),
        }
    }
}

fn push(out: &mut String, text: Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String succeeds");
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::render::{
        golden,
        sample::{self, map},
    };

    #[test]
    fn page_is_as_agreed() {
        golden::assert_agreed("page.txt", &text(&sample::two_alerts(), Colour::Plain));
    }

    #[test]
    fn colours_change_no_text() {
        let coloured = text(&sample::two_alerts(), Colour::Ansi);
        assert!(coloured.contains("\x1b[1;31mfiring\x1b[0m"));
        let stripped = ["\x1b[1;31m", "\x1b[1;32m", "\x1b[2m", "\x1b[0m"]
            .iter()
            .fold(coloured, |text, sequence| text.replace(sequence, ""));
        assert_eq!(stripped, text(&sample::two_alerts(), Colour::Plain));
    }

    proptest! {
        #[test]
        fn nothing_in_an_alert_speaks_to_the_terminal(name in any::<String>(), value in any::<String>()) {
            let mut notification = sample::two_alerts();
            notification.group_labels = map(&[(&name, &value)]);
            notification.alerts[0].labels = notification.group_labels.clone();
            notification.alerts[0].annotations = notification.group_labels.clone();
            notification.alerts[0].generator_url = value;
            let page = text(&notification, Colour::Plain);
            prop_assert!(page.chars().all(|c| c == '\n' || !c.is_control()));
        }
    }
}
