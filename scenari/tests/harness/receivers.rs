//! Receivers: the webhook and the mail server write down what they get.

use std::time::Duration;

use scenari::http;
use scenari::smtp::Smtp;
use scenari::wait::{holds_for, same};
use scenari::webhook::{Mood, Webhook};

#[test]
fn the_webhook_records_what_it_answered() {
    let webhook = Webhook::start();
    assert_eq!(http::post_raw(&webhook.url(), "{\"a\":1}").expect("open").status, 200);
    webhook.set_mood(Mood::Answer(500));
    assert_eq!(http::post_raw(&format!("{}team?x=1", webhook.url()), "{}").expect("open").status, 500);
    let pages = webhook.pages();
    assert_eq!(pages.len(), 2);
    assert_eq!(pages[0].body, "{\"a\":1}");
    assert_eq!(pages[1].path, "/team?x=1");
    assert_eq!(webhook.taken().len(), 1);
}

#[test]
fn a_closed_webhook_refuses_and_comes_back_on_the_same_port() {
    let mut webhook = Webhook::start();
    let url = webhook.url();
    http::post_raw(&url, "{}").expect("open");
    webhook.close();
    let refused = http::post_raw(&url, "{}").expect_err("closed");
    assert!(refused.contains("refused"), "{refused}");
    webhook.open();
    http::post_raw(&url, "{}").expect("open again");
    assert_eq!(webhook.pages().len(), 2);
}

#[test]
fn a_hanging_webhook_takes_the_request_and_never_answers() {
    let mut webhook = Webhook::start();
    webhook.set_mood(Mood::Hang);
    let url = webhook.url();
    std::thread::scope(|scope| {
        let posting = scope.spawn(|| http::post_raw(&url, "{}"));
        webhook_has(&webhook, 1);
        holds_for("no answer comes", Duration::from_millis(300), || {
            if posting.is_finished() { Err("answered") } else { Ok(()) }
        });
        webhook.close();
        posting.join().expect("no panic").expect_err("closing cuts open connections");
    });
    assert!(webhook.taken().is_empty());
}

fn webhook_has(webhook: &Webhook, count: usize) {
    scenari::wait::wait_until("the request to come", Duration::from_secs(60), || same(webhook.pages().len(), count));
}

#[test]
fn the_mail_server_keeps_envelope_headers_and_text() {
    let smtp = Smtp::start();
    assert!(smtp.mails().is_empty());
    speak_smtp(
        &smtp.address(),
        &[
            "EHLO test",
            "MAIL FROM:<beacon@example.org>",
            "RCPT TO:<on-call@example.org>",
            "DATA",
            "From: Beacon <beacon@example.org>\r\nTo: on-call@example.org\r\nSubject: =?utf-8?q?d=C3=A9j=C3=A0?=\r\n\
             Message-ID: <1@example.org>\r\n\r\ndisk is full\r\n.",
            "QUIT",
        ],
    );
    let mails = smtp.wait_for(1, Duration::from_secs(60));
    assert_eq!(mails[0].sender, "beacon@example.org");
    assert_eq!(mails[0].recipients, ["on-call@example.org"]);
    assert_eq!(mails[0].header("Subject"), "déjà");
    assert_eq!(mails[0].header("message-id"), "<1@example.org>");
    assert!(mails[0].body().contains("disk is full"));
}

/// A dialogue in which each line is answered before the next one goes out.
fn speak_smtp(address: &str, lines: &[&str]) {
    use std::io::{BufRead, BufReader, Write};
    let mut stream = std::net::TcpStream::connect(address).expect("it listens");
    let mut answers = BufReader::new(stream.try_clone().expect("a second handle"));
    let mut answer = String::new();
    let mut read = |answer: &mut String| {
        answer.clear();
        // The last line of an answer has a blank behind its code (RFC 5321, 4.2.1).
        while answer.lines().last().is_none_or(|line| line.as_bytes().get(3) != Some(&b' ')) {
            assert_ne!(answers.read_line(answer).expect("the server speaks"), 0, "it hung up after {answer}");
        }
        assert!(matches!(answer.as_bytes()[0], b'2' | b'3'), "refused: {answer}");
    };
    read(&mut answer);
    for line in lines {
        write!(stream, "{line}\r\n").expect("the server listens");
        read(&mut answer);
    }
}
