//! The one line that says what a notification is about.

use beacon_proto::v1::{Notification, Status};

use super::{pairs, plain};

/// Longest subject in bytes. A mail header's line may have 998 (RFC 5322 §2.1.1), and a value without a space cannot be
/// folded.
const MAX_BYTES: usize = 900;

/// `[FIRING:2] Down eu (page)`: status, number of firing alerts, values of the group labels, and in parentheses those of
/// the other common labels. One line, at most about 900 bytes.
///
/// Source: Alertmanager's default template `__subject`.
pub fn line(notification: &Notification) -> String {
    let mut subject = match notification.status() {
        Status::Resolved => "[RESOLVED]".to_owned(),
        Status::Firing | Status::Unspecified => format!("[FIRING:{}]", firing(notification)),
    };
    for (_, value) in pairs::sorted(&notification.group_labels) {
        subject.push(' ');
        subject.push_str(value);
    }
    let others: Vec<&str> =
        pairs::remaining(&notification.common_labels, &notification.group_labels).map(|(_, value)| value).collect();
    if !others.is_empty() {
        subject.push_str(&format!(" ({})", others.join(" ")));
    }
    plain::shorten(plain::one_line(&subject).trim_end(), MAX_BYTES)
}

/// How many of the listed alerts fire.
pub fn firing(notification: &Notification) -> usize {
    notification.alerts.iter().filter(|alert| alert.status() != Status::Resolved).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::render::sample::{self, map};

    #[test]
    fn subject_is_the_one_alertmanager_writes() {
        // Captured from Alertmanager 0.25.0 for the same alerts.
        assert_eq!(line(&sample::two_alerts()), "[FIRING:1] Down eu (page)");
    }

    #[test]
    fn resolved_has_no_count() {
        let notification = Notification { status: Status::Resolved.into(), ..sample::two_alerts() };
        assert_eq!(line(&notification), "[RESOLVED] Down eu (page)");
    }

    #[test]
    fn without_group_labels_only_common_ones_are_shown() {
        let notification = Notification { group_labels: map(&[]), ..sample::two_alerts() };
        assert_eq!(line(&notification), "[FIRING:1] (Down eu page)");
    }

    #[test]
    fn a_line_break_in_a_label_stays_in_the_subject() {
        let mut notification = sample::two_alerts();
        notification.group_labels = map(&[("cluster", "eu\r\nBcc: everyone@example.org")]);
        notification.common_labels.clear();
        assert_eq!(line(&notification), "[FIRING:1] eu  Bcc: everyone@example.org");
    }

    #[test]
    fn an_endless_label_is_cut() {
        let mut notification = sample::two_alerts();
        notification.group_labels = map(&[("cluster", &"x".repeat(5_000))]);
        assert!(line(&notification).len() < 950);
    }
}
