//! Mail, against a real SMTP server (Debian's python3-aiosmtpd).
#![allow(clippy::unwrap_used, reason = "a test that panics has failed, which is the point")]

mod support;

use std::time::{Duration, Instant};

use beacon_notifier::{Attempt, channel::trust::Trust};
use beacon_plan::{
    receiver::{Body, Channel, Email, HostPort, SmtpTls},
    secret::Secret,
};
use beacon_proto::v1::Notification;
use serde_json::{Value, json};
use support::{certificates::Certificates, notification, receiver, server::Server};

const OPS: &str = "ops";

fn email(port: u16) -> Email {
    Email {
        to: "oncall@example.org, Second <second@example.org>".to_owned(),
        from: "Beacon <beacon@example.org>".to_owned(),
        smarthost: HostPort { host: "localhost".to_owned(), port },
        hello: "beacon.test".to_owned(),
        auth_username: String::new(),
        auth_password: Secret::default(),
        auth_identity: String::new(),
        auth_secret: Secret::default(),
        require_tls: false,
        tls: SmtpTls::default(),
        headers: [("X-Team".to_owned(), "ops".to_owned())].into(),
        html: Body::Default,
        text: Body::Absent,
    }
}

fn with_login(port: u16, password: &str) -> Email {
    Email { auth_username: "beacon".to_owned(), auth_password: Secret::new(password), ..email(port) }
}

async fn attempt(email: Email, trust: Trust, notification: &Notification) -> Attempt {
    let receivers = [receiver(OPS, Channel::Email(Box::new(email)))];
    support::dispatcher(&receivers, trust).deliver(notification).await
}

async fn send(email: Email) -> Attempt {
    attempt(email, Trust::of([]), &notification(OPS, "email")).await
}

fn accepted() -> Attempt {
    Attempt::Accepted { detail: "SMTP 250 2.0.0 queued as 4711".to_owned() }
}

fn header<'a>(mail: &'a Value, name: &str) -> Vec<&'a str> {
    let headers = mail["headers"].as_array().unwrap();
    headers.iter().filter(|header| header[0] == name).map(|header| header[1].as_str().unwrap()).collect()
}

#[tokio::test]
async fn mail_arrives_with_both_parts() {
    let mut server = Server::smtp(&json!({}));
    assert_eq!(send(email(server.port)).await, accepted());
    let mail = server.next();
    assert_eq!(mail["sender"], "beacon@example.org");
    assert_eq!(mail["recipients"], json!(["oncall@example.org", "second@example.org"]));
    assert_eq!(mail["hello"], "beacon.test");
    assert_eq!(header(&mail, "subject"), ["[FIRING:1] Down (eu)"]);
    assert_eq!(header(&mail, "from"), ["Beacon <beacon@example.org>"]);
    assert_eq!(header(&mail, "x-team"), ["ops"]);
    assert_eq!(header(&mail, "message-id"), ["<3f1c9a52d07e4b88@example.org>"]);
    assert_eq!(header(&mail, "date"), ["Fri, 02 Jan 2026 03:04:06 +0000"]);
    assert!(mail["text"].as_str().unwrap().contains("\n - alertname = Down\n"), "{mail}");
    assert!(mail["html"].as_str().unwrap().contains("alertname = Down<br>"), "{mail}");
}

#[tokio::test]
async fn no_label_becomes_a_header_or_ends_the_mail() {
    let mut server = Server::smtp(&json!({}));
    let mut hostile = notification(OPS, "email");
    let value = "eu\r\nBcc: everyone@example.org\r\n\r\nhello\r\n.\r\nQUIT\r\n<b>ö</b>";
    for labels in [&mut hostile.group_labels, &mut hostile.common_labels, &mut hostile.alerts[0].labels] {
        labels.insert("cluster".to_owned(), value.to_owned());
    }
    assert_eq!(attempt(email(server.port), Trust::of([]), &hostile).await, accepted());
    let mail = server.next();
    assert_eq!(mail["recipients"], json!(["oncall@example.org", "second@example.org"]));
    assert_eq!(header(&mail, "bcc"), [""; 0]);
    let subject = header(&mail, "subject");
    assert!(subject[0].contains("Bcc: everyone@example.org") && subject[0].ends_with("<b>ö</b>"), "{subject:?}");
    assert!(mail["html"].as_str().unwrap().contains("&lt;b&gt;ö&lt;/b&gt;"), "{mail}");
    assert!(mail["text"].as_str().unwrap().contains("View in Beacon"), "{mail}");
}

#[tokio::test]
async fn server_that_refuses_for_now_is_tried_again() {
    let server = Server::smtp(&json!({ "data_reply": "451 4.3.0 try again later" }));
    let detail = "sending the mail: SMTP 451: 4.3.0 try again later".to_owned();
    assert_eq!(send(email(server.port)).await, Attempt::Retry { detail, after: None });
}

#[tokio::test]
async fn server_that_refuses_for_good_is_dead() {
    let server = Server::smtp(&json!({ "rcpt_reply": "550 5.1.1 no such user" }));
    let detail = "sending the mail: SMTP 550: 5.1.1 no such user".to_owned();
    assert_eq!(send(email(server.port)).await, Attempt::Dead { detail });
}

#[tokio::test]
async fn address_that_is_refused_for_good_does_not_keep_the_mail_from_the_others() {
    let mut server = Server::smtp(&json!({ "rcpt_replies": { "oncall@example.org": "550 5.1.1 has left" } }));
    let detail = "SMTP 250 2.0.0 queued as 4711; not to oncall@example.org: 5.1.1 has left".to_owned();
    assert_eq!(send(email(server.port)).await, Attempt::Accepted { detail });
    assert_eq!(server.next()["recipients"], json!(["second@example.org"]));
}

#[tokio::test]
async fn address_that_is_refused_for_now_keeps_the_mail_for_all() {
    let mut server = Server::smtp(&json!({ "rcpt_replies": { "second@example.org": "450 4.2.1 greylisted" } }));
    let detail = "sending the mail: SMTP 450: 4.2.1 greylisted".to_owned();
    assert_eq!(send(email(server.port)).await, Attempt::Retry { detail, after: None });
    // What comes is a later mail: the first address did not get this one.
    let only = Email { to: "third@example.org".to_owned(), ..email(server.port) };
    assert_eq!(send(only).await, accepted());
    assert_eq!(server.next()["recipients"], json!(["third@example.org"]));
}

#[tokio::test]
async fn address_that_is_refused_for_want_of_a_login_keeps_the_mail_for_all() {
    let refusal = "530 5.7.0 log in before you relay";
    let mut server = Server::smtp(&json!({ "rcpt_replies": { "second@example.org": refusal } }));
    let detail =
        "sending the mail: SMTP 530, check the receiver's auth settings: 5.7.0 log in before you relay".to_owned();
    assert_eq!(send(email(server.port)).await, Attempt::Retry { detail, after: None });
    // As above.
    let only = Email { to: "third@example.org".to_owned(), ..email(server.port) };
    assert_eq!(send(only).await, accepted());
    assert_eq!(server.next()["recipients"], json!(["third@example.org"]));
}

#[tokio::test]
async fn refused_connection_is_tried_again() {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let attempt = send(email(port)).await;
    let Attempt::Retry { detail, after: None } = attempt else { panic!("{attempt:?}") };
    assert!(detail.starts_with("connecting to the smarthost: "), "{detail}");
}

#[tokio::test]
async fn slow_goodbye_does_not_make_a_sent_mail_unsent() {
    let mut server = Server::smtp(&json!({ "mute_quit": true }));
    let begin = Instant::now();
    assert_eq!(send(email(server.port)).await, accepted());
    assert!(begin.elapsed() < Duration::from_secs(4), "{:?}", begin.elapsed());
    server.next();
}

#[tokio::test]
async fn required_tls_is_made_with_a_trusted_authority_or_nothing_is_sent() {
    let certificates = Certificates::new();
    let options = json!({ "certificate": certificates.certificate(), "key": certificates.key() });
    let mut server = Server::smtp(&options);
    let secure = Email { require_tls: true, ..email(server.port) };
    let notification = notification(OPS, "email");

    let stranger = attempt(secure.clone(), Trust::of([]), &notification).await;
    let Attempt::Retry { detail, .. } = stranger else { panic!("{stranger:?}") };
    assert!(detail.starts_with("securing the connection: ") && detail.contains("UnknownIssuer"), "{detail}");

    assert_eq!(attempt(secure.clone(), certificates.trust(), &notification).await, accepted());
    // The first mail that arrived: nothing came from the attempt before.
    let mail = server.next();
    assert_eq!(mail["tls"], true);

    let other_name = SmtpTls { server_name: Some("mx.example.org".to_owned()), ..SmtpTls::default() };
    let misnamed = attempt(Email { tls: other_name, ..secure.clone() }, certificates.trust(), &notification).await;
    assert!(matches!(misnamed, Attempt::Retry { .. }), "{misnamed:?}");

    let careless = SmtpTls { insecure_skip_verify: true, ..SmtpTls::default() };
    assert_eq!(send(Email { tls: careless, ..secure }).await, accepted());
    assert_eq!(server.next()["tls"], true);
}

#[tokio::test]
async fn server_without_starttls_is_dead_when_tls_is_required() {
    let server = Server::smtp(&json!({}));
    let attempt = send(Email { require_tls: true, ..email(server.port) }).await;
    let Attempt::Dead { detail } = attempt else { panic!("{attempt:?}") };
    assert!(detail.contains("doesn't offer STARTTLS"), "{detail}");
}

#[tokio::test]
async fn login_uses_plain_and_where_that_is_missing_login() {
    for (missing, used) in [(json!([]), "PLAIN"), (json!(["PLAIN"]), "LOGIN")] {
        let options = json!({ "login": ["beacon", "open sesame"], "without_mechanisms": missing });
        let mut server = Server::smtp(&options);
        assert_eq!(send(with_login(server.port, "open sesame")).await, accepted());
        assert_eq!(server.next()["login"], json!([used, "beacon", "open sesame"]));
    }
}

#[tokio::test]
async fn wrong_password_is_tried_again_and_not_quoted() {
    let server = Server::smtp(&json!({ "login": ["beacon", "open sesame"] }));
    let attempt = send(with_login(server.port, "hunter2hunter2")).await;
    let Attempt::Retry { detail, .. } = attempt else { panic!("{attempt:?}") };
    assert!(detail.starts_with("logging in: SMTP 535"), "{detail}");
    assert!(!detail.contains("hunter2"), "{detail}");
}

#[tokio::test]
async fn server_that_offers_no_login_gets_the_mail_without() {
    let mut server = Server::smtp(&json!({}));
    assert_eq!(send(with_login(server.port, "open sesame")).await, accepted());
    assert_eq!(server.next()["login"], Value::Null);
}
