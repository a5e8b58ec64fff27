use std::collections::BTreeMap;

use beacon_plan::receiver::{HostPort, SmtpTls};
use proptest::prelude::*;

use super::*;
use crate::render::{
    golden,
    sample::{self, map},
};

fn email() -> Email {
    Email {
        to: "oncall@example.org, Second <second@example.org>".to_owned(),
        from: "Beacon <beacon@example.org>".to_owned(),
        smarthost: HostPort { host: "localhost".to_owned(), port: 25 },
        hello: "localhost".to_owned(),
        auth_username: String::new(),
        auth_password: Default::default(),
        auth_identity: String::new(),
        auth_secret: Default::default(),
        require_tls: false,
        tls: SmtpTls::default(),
        headers: map(&[("X-Team", "ops")]),
        html: Body::Default,
        text: Body::Absent,
    }
}

fn compose(email: &Email, notification: &Notification) -> String {
    let composer = Composer::new(email, sample::EXTERNAL_URL.into()).unwrap();
    String::from_utf8(composer.compose(notification).unwrap().formatted()).unwrap()
}

#[test]
fn mail_is_as_agreed() {
    let mail = compose(&email(), &sample::two_alerts());
    golden::assert_agreed("mail.eml", &mail.replace("\r\n", "\n"));
}

#[test]
fn shown_addresses_do_not_change_who_is_told() {
    let mut email = email();
    email.headers = map(&[("To", "everyone@example.org"), ("Subject", "fixed")]);
    let composer = Composer::new(&email, sample::EXTERNAL_URL.into()).unwrap();
    let mail = composer.compose(&sample::two_alerts()).unwrap();
    let told: Vec<String> = mail.envelope().to().iter().map(ToString::to_string).collect();
    assert_eq!(told, ["oncall@example.org", "second@example.org"]);
    let headers = mail.headers().to_string();
    assert!(headers.contains("To: everyone@example.org\r\n"), "{headers}");
    assert!(headers.contains("Subject: fixed\r\n"), "{headers}");
}

#[test]
fn literal_parts_are_sent_as_they_are() {
    let literal = |text: &str| Body::Literal(text.to_owned());
    let kinds = |html, text| {
        let mail = compose(&Email { html, text, ..email() }, &sample::two_alerts());
        (mail.contains("text/html"), mail.contains("text/plain"), mail)
    };
    let (html, text, mail) = kinds(literal("<b>look</b>"), Body::Absent);
    assert!(html && !text && mail.contains("<b>look</b>"), "{mail}");
    let (html, text, mail) = kinds(Body::Absent, literal("look"));
    assert!(!html && text && mail.contains("\r\nlook\r\n"), "{mail}");
    let (html, text, _) = kinds(Body::Default, Body::Absent);
    assert!(html && text);
}

#[test]
fn addresses_that_are_none_are_refused_by_name() {
    let refused = |email: Email| Composer::new(&email, "".into()).err().expect("refused").setting;
    assert_eq!(refused(Email { from: "nobody".to_owned(), ..email() }), "from");
    assert_eq!(refused(Email { to: "a@b, nobody".to_owned(), ..email() }), "to");
    assert_eq!(refused(Email { to: String::new(), ..email() }), "to");
}

#[test]
fn impossible_times_have_a_date() {
    for decided_at_ms in [i64::MIN, -1, i64::MAX] {
        let mail = compose(&email(), &Notification { decided_at_ms, ..sample::two_alerts() });
        assert!(mail.contains("\r\nDate: "), "{decided_at_ms}");
    }
}

proptest! {
    /// Whatever alerts contain, the mail has the same headers, in lines that servers take, and the same two parts.
    #[test]
    fn no_content_breaks_out_of_its_place(name in any::<String>(), value in any::<String>(), long in 0..3_000_usize) {
        let mut notification = sample::two_alerts();
        let value = format!("{value}\r\nBcc: everyone@example.org\r\n\r\n--=_{}--\r\n.\r\n{}", notification.id, "x".repeat(long));
        notification.group_labels = map(&[(&name, &value)]);
        notification.common_labels = map(&[(&name, &value), ("other", &value)]);
        notification.alerts[0].labels = notification.common_labels.clone();
        notification.alerts[0].annotations = notification.common_labels.clone();
        notification.alerts[0].generator_url = value.clone();
        let mail = compose(&email(), &notification);

        let (head, body) = mail.split_once("\r\n\r\n").unwrap();
        let names: BTreeMap<&str, usize> = head
            .split("\r\n")
            .filter(|line| !line.starts_with([' ', '\t']))
            .map(|line| line.split(':').next().unwrap())
            .fold(BTreeMap::new(), |mut names, name| { *names.entry(name).or_default() += 1; names });
        let expected = ["Auto-Submitted", "Content-Type", "Date", "From", "MIME-Version", "Message-ID", "Subject", "To", "X-Team"];
        prop_assert_eq!(names, expected.into_iter().map(|name| (name, 1)).collect());

        let boundary = format!("--=_{}", notification.id);
        let delimiters: Vec<&str> = body.split("\r\n").filter(|line| line.starts_with("--=_")).collect();
        prop_assert_eq!(delimiters, [boundary.as_str(), boundary.as_str(), &format!("{boundary}--")]);
        prop_assert!(mail.split("\r\n").all(|line| line.len() <= 998 && !line.contains(['\r', '\n'])));
        prop_assert!(mail.is_ascii());
    }
}
