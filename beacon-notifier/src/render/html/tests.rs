use proptest::prelude::*;

use super::*;
use crate::render::{
    golden,
    sample::{self, map},
};

/// What a reader of the mail that Alertmanager 0.25.0 sent for the same alerts sees, line by line.
const ALERTMANAGER: &str = include_str!("../../../tests/golden/alertmanager-0.25-mail-visible.txt");

#[test]
fn document_is_as_agreed() {
    golden::assert_agreed("mail.html", &document(&sample::two_alerts(), sample::EXTERNAL_URL));
}

#[test]
fn reader_sees_what_alertmanager_shows() {
    let ours = visible(&document(&sample::two_alerts(), sample::EXTERNAL_URL));
    let theirs: Vec<String> = ALERTMANAGER.lines().map(|line| line.replace("Alertmanager", "Beacon")).collect();
    assert_eq!(ours, theirs);
}

#[test]
fn script_address_is_shown_and_not_linked() {
    let mut notification = sample::two_alerts();
    notification.alerts[0].generator_url = "javascript:alert(1)".to_owned();
    let html = document(&notification, sample::EXTERNAL_URL);
    assert!(html.contains("Source: javascript:alert(1)"));
    assert!(!html.contains("href=\"javascript"));
}

#[test]
fn a_resolved_group_has_another_colour() {
    let mut notification = sample::two_alerts();
    notification.alerts.remove(0);
    assert!(!document(&notification, "").contains("#c7382a"));
}

proptest! {
    /// The tags of the document do not depend on what labels, annotations and addresses contain.
    #[test]
    fn no_content_adds_or_ends_a_tag(name in ".*", value in any::<String>(), address in any::<String>()) {
        let mut plain = sample::two_alerts();
        plain.group_labels = map(&[("name", "value")]);
        plain.alerts[0].labels = plain.group_labels.clone();
        plain.alerts[0].annotations = plain.group_labels.clone();
        plain.alerts[0].generator_url = "x".to_owned();
        let mut hostile = plain.clone();
        hostile.group_labels = map(&[(&name, &value)]);
        hostile.alerts[0].labels = hostile.group_labels.clone();
        hostile.alerts[0].annotations = hostile.group_labels.clone();
        // Either way no link: the tags are to be the same.
        hostile.alerts[0].generator_url = format!("x{address}");
        let (plain, hostile) = (document(&plain, ""), document(&hostile, ""));
        prop_assert_eq!(tags(&plain), tags(&hostile));
    }

    /// An address cannot leave its attribute.
    #[test]
    fn no_address_ends_its_attribute(rest in any::<String>()) {
        let mut notification = sample::two_alerts();
        notification.alerts.truncate(1);
        notification.alerts[0].generator_url = format!("https://{rest}");
        let html = document(&notification, "");
        let link = tags(&html).into_iter().rfind(|tag| tag.starts_with("a href=\"https:"));
        let link = link.expect("an https address is linked");
        prop_assert_eq!(link.matches('"').count(), 2, "{}", link);
        prop_assert!(link.ends_with('"'), "{}", link);
    }
}

fn tags(html: &str) -> Vec<&str> {
    html.split('<').skip(1).map(|rest| rest.split('>').next().unwrap()).collect()
}

/// Lines of text as a mail reader lays them out: `<br>`, rows and paragraphs break lines, other white space is one space.
fn visible(html: &str) -> Vec<String> {
    let body = html.split_once("</head>").unwrap().1.replace('\n', " ");
    let mut text = String::new();
    for part in body.split('<').skip(1) {
        let (tag, shown) = part.split_once('>').unwrap();
        if ["br", "tr", "p", "table"].iter().any(|name| tag.split(' ').next() == Some(name)) {
            text.push('\n');
        }
        text.push_str(shown);
    }
    let text = [("&lt;", "<"), ("&gt;", ">"), ("&#34;", "\""), ("&#39;", "'"), ("&amp;", "&")]
        .iter()
        .fold(text, |text, (entity, plain)| text.replace(entity, plain));
    text.lines()
        .map(|line| line.split_whitespace().collect::<Vec<_>>().join(" "))
        .filter(|line| !line.is_empty())
        .collect()
}
