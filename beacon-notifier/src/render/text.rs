//! The plain-text part of a mail.

use std::{collections::BTreeMap, fmt::Write};

use beacon_proto::v1::{Notification, NotifiedAlert, Status};

use super::{links, pairs, plain, subject};

/// Subject, then firing and resolved alerts with labels, annotations and source, then where to look.
///
/// The lists have the form of Alertmanager's `__text_alert_list`. A value of several lines is indented, so that it cannot
/// be taken for another label. Lines end with `\n`. `external_url` has no slash at its end.
pub fn body(notification: &Notification, external_url: &str) -> String {
    let mut out = format!("{}\n", subject::line(notification));
    let (resolved, firing): (Vec<_>, Vec<_>) =
        notification.alerts.iter().partition(|alert| alert.status() == Status::Resolved);
    section(&mut out, "Firing", &firing);
    section(&mut out, "Resolved", &resolved);
    if notification.truncated_alerts > 0 {
        push(&mut out, format_args!("\n{} more not listed here\n", notification.truncated_alerts));
    }
    let receiver = notification.target.as_ref().map_or("", |target| &target.receiver);
    if let Some(link) = links::alerts_of(external_url, receiver) {
        push(&mut out, format_args!("\nView in Beacon: {link}\n"));
    }
    out
}

fn section(out: &mut String, title: &str, alerts: &[&NotifiedAlert]) {
    if alerts.is_empty() {
        return;
    }
    push(out, format_args!("\n[{}] {title}\n", alerts.len()));
    for alert in alerts {
        out.push('\n');
        list(out, "Labels", &alert.labels);
        list(out, "Annotations", &alert.annotations);
        push(out, format_args!("Source: {}\n", plain::one_line(&alert.generator_url)));
    }
}

fn list(out: &mut String, title: &str, map: &BTreeMap<String, String>) {
    push(out, format_args!("{title}:\n"));
    for (name, value) in pairs::sorted(map) {
        let mut lines = plain::lines(value);
        let first = lines.next().unwrap_or_default();
        push(out, format_args!(" - {} = {first}\n", plain::one_line(name)));
        for line in lines {
            push(out, format_args!("       {line}\n"));
        }
    }
}

fn push(out: &mut String, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String succeeds");
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::{golden, sample};

    #[test]
    fn body_is_as_agreed() {
        golden::assert_agreed("mail.txt", &body(&sample::two_alerts(), sample::EXTERNAL_URL));
    }

    #[test]
    fn truncation_is_said() {
        let notification = Notification { truncated_alerts: 3, ..sample::two_alerts() };
        assert!(body(&notification, "").ends_with("\n3 more not listed here\n"), "and no link that leads nowhere");
    }
}
