use beacon_plan::{
    receiver::{Channel, HttpClient, Kind, Webhook},
    secret::{REDACTED, Secret},
};

use super::*;
use crate::render::{page::Colour, sample};

fn receiver(channel: Channel) -> Receiver {
    let target = Target { receiver: "ops team".to_owned(), kind: channel.kind(), index: 0 };
    Receiver { name: "ops team".to_owned(), integrations: vec![Integration { target, send_resolved: true, channel }] }
}

fn webhook(url: &str) -> Receiver {
    let http = HttpClient::default();
    receiver(Channel::Webhook(Webhook { url: Secret::new(url), max_alerts: 0, timeout: None, http }))
}

fn dispatcher(receiver: &Receiver) -> Result<Dispatcher, DispatcherError> {
    let terminal = Terminal::new(std::io::sink(), Colour::Plain);
    Dispatcher::with_trust([receiver], "http://beacon/", terminal, Trust::of([]))
}

async fn dead(dispatcher: &Dispatcher, notification: &Notification) -> String {
    match dispatcher.deliver(notification).await {
        Attempt::Dead { detail } => detail,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_receiver_that_the_plan_does_not_have_yet_is_told_after_the_reload() {
    let dispatcher = dispatcher(&webhook("http://127.0.0.1:9/")).unwrap();
    let mut page = sample::two_alerts();
    page.target.as_mut().unwrap().integration = "terminal".to_owned();
    let Attempt::Retry { detail, after: None } = dispatcher.deliver(&page).await else { panic!("to be tried again") };
    assert!(detail.starts_with("this process's plan has no ops team/terminal[0]: reload"), "{detail}");
    dispatcher.reload([&receiver(Channel::Terminal)]).unwrap();
    assert!(matches!(dispatcher.deliver(&page).await, Attempt::Accepted { .. }));
}

#[tokio::test]
async fn notification_without_a_usable_target_or_id_is_dead() {
    let dispatcher = dispatcher(&receiver(Channel::Terminal)).unwrap();
    let mut notification = sample::two_alerts();
    notification.target.as_mut().unwrap().integration = "pigeon".to_owned();
    assert!(dead(&dispatcher, &notification).await.contains("`pigeon`"));
    notification.target = None;
    assert_eq!(dead(&dispatcher, &notification).await, "the notification names no target");
    for id in ["", "a\r\nb", "a@b", "a..b", ".a", &"a".repeat(129)] {
        let notification = Notification { id: id.to_owned(), ..sample::two_alerts() };
        assert!(dead(&dispatcher, &notification).await.contains("no id of a notification"), "{id:?}");
    }
}

#[tokio::test]
async fn reload_swaps_receivers_and_a_bad_plan_changes_nothing() {
    let dispatcher = dispatcher(&webhook("http://127.0.0.1:9/")).unwrap();
    let mut page = sample::two_alerts();
    page.target.as_mut().unwrap().integration = "terminal".to_owned();
    dispatcher.reload([&receiver(Channel::Terminal)]).unwrap();
    assert!(matches!(dispatcher.deliver(&page).await, Attempt::Accepted { .. }));
    let error = dispatcher.reload([&webhook("not an address")]).unwrap_err();
    assert_eq!(error.target.kind, Kind::Webhook);
    assert!(matches!(dispatcher.deliver(&page).await, Attempt::Accepted { .. }));
}

#[tokio::test]
async fn unchanged_receiver_keeps_its_channel_over_a_reload() {
    let dispatcher = dispatcher(&webhook("http://127.0.0.1:9/")).unwrap();
    let before = dispatcher.find(&sample::two_alerts()).unwrap();
    dispatcher.reload([&webhook("http://127.0.0.1:9/")]).unwrap();
    assert!(Arc::ptr_eq(&before, &dispatcher.find(&sample::two_alerts()).unwrap()));
    dispatcher.reload([&webhook("http://127.0.0.1:10/")]).unwrap();
    assert!(!Arc::ptr_eq(&before, &dispatcher.find(&sample::two_alerts()).unwrap()));
}

#[tokio::test]
async fn plan_without_its_secrets_is_refused_by_name() {
    let error = dispatcher(&webhook(REDACTED)).unwrap_err().to_string();
    assert!(error.starts_with("receiver ops team/webhook[0]: url: is `<secret>`"), "{error}");
}

#[tokio::test]
async fn debug_and_errors_show_no_address() {
    let dispatcher = dispatcher(&webhook("https://hooks.example.org/T0KEN12345")).unwrap();
    assert!(!format!("{dispatcher:?}").contains("T0KEN12345"));
    let error = dispatcher.reload([&webhook("https://hooks.example.org:T0KEN12345/")]).unwrap_err();
    assert!(!format!("{error:?} {error}").contains("T0KEN12345"), "{error}");
}
