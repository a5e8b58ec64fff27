//! Names that leave the job: those of the application, of operators with a topic of their own, and of the topics that it reads and
//! writes.
//!
//! They become topics, and the application's a group and directories, too. A log refuses such a topic only when it is made, which
//! is when the job starts, and tests in memory never ask one: so all are checked when the topology is built.
//!
//! What it deliberately does not check: names of other operators and of states, which stay inside.

use std::sync::Arc;

use super::builder::Plan;
use super::describe::Shape;
use crate::log::topic_name::{LONGEST, allowed, is_legal};

/// The longest that is put behind an application's name where no operator's is: the changelog's copy while a tool works on it.
const LONGEST_END: &str = "-changelog-staged";
const LONGEST_APPLICATION: usize = LONGEST - LONGEST_END.len();

/// The application's name, and those of topics that somebody else makes.
pub(super) fn mistakes(plan: &Plan) -> Vec<String> {
    let mut found = Vec::new();
    if !is_legal(&plan.application, LONGEST_APPLICATION) {
        found.push(format!(
            "the application's name {:?} is that of its group and directories and begins its topics' names: rename it so that it {}",
            plan.application,
            allowed(LONGEST_APPLICATION)
        ));
    }
    for source in &plan.sources {
        found.extend(topic(&source.topic, || format!("source `{}` reads", source.name)));
    }
    for node in plan.nodes.iter().filter(|node| node.shape == Shape::Sink) {
        found.extend(node.topic.as_ref().and_then(|name| topic(name, || format!("sink `{}` writes", node.name))));
    }
    found.extend(plan.dead_letters.as_ref().and_then(|name| topic(name, || "dead letters go to".to_owned())));
    found
}

fn topic(name: &Arc<str>, who: impl FnOnce() -> String) -> Option<String> {
    let wrong = !is_legal(name, LONGEST);
    wrong.then(|| format!("{} topic {name:?}, and there is none of that name: a topic's {}", who(), allowed(LONGEST)))
}

/// The name of the topic behind an operator.
pub(super) fn internal(application: &str, operator: &str, purpose: &str) -> String {
    format!("{application}-{operator}-{purpose}")
}

/// What is wrong with an operator's name that becomes part of a topic's.
pub(super) fn internal_mistake(application: &str, operator: &str, purpose: &str) -> Option<String> {
    // An application's name that is wrong itself is told once, and not by each of its operators.
    let judged = if is_legal(application, LONGEST_APPLICATION) { application } else { "a" };
    if is_legal(&internal(judged, operator, purpose), LONGEST) {
        return None;
    }
    let name = internal(application, operator, purpose);
    Some(format!(
        "the name of operator `{operator}` is part of its topic's, {name:?}: rename it so that the topic's {}",
        allowed(LONGEST)
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::topology::{Caller, Topic, TopologyBuilder};

    const RULE: &str = r#"has 1 to 249 of the characters a-z, A-Z, 0-9, '.', '_' and '-', and is neither "." nor "..""#;

    /// What `build` says of a job with one source, to which more is added.
    fn told(application: &str, add: impl FnOnce(&TopologyBuilder, super::super::Stream<String>)) -> Vec<String> {
        let app = TopologyBuilder::new(application);
        let words = app.source("words", &Topic::<String>::new("words"));
        add(&app, words);
        app.build().err().map(|errors| errors.mistakes).unwrap_or_default()
    }

    #[test]
    fn operators_whose_names_no_topic_can_have_are_named() {
        let mistakes = told("shop", |app, words| {
            let _ = words.broadcast("all prices");
            let _ = words.key_by("by/word", Clone::clone);
            let caller = Caller::new(|asked, done: Box<dyn FnOnce(String) + Send>| done(asked.unwrap_or_default()));
            let replies = app.replies::<String, String>("frag'", Arc::new(caller));
            replies.ask(&words.keyed("any name", Clone::clone), |word: &String| word.clone().into_bytes());
        });
        let expected = |operator: &str, topic: &str| {
            format!(
                "the name of operator `{operator}` is part of its topic's, \"{topic}\": rename it so that the topic's {RULE}"
            )
        };
        assert_eq!(
            mistakes,
            [
                expected("all prices", "shop-all prices-broadcast"),
                expected("by/word", "shop-by/word-repartition"),
                expected("frag'", "shop-frag'-replies"),
            ]
        );
    }

    #[test]
    fn topics_that_there_cannot_be_are_named_with_who_uses_them() {
        let mistakes = told("shop", |app, words| {
            app.dead_letters("");
            let _ = app.source("more", &Topic::<String>::new("more words"));
            words.sink("out", &Topic::new("../out"), |_| Vec::new());
        });
        let expected = |who: &str| format!("{who}, and there is none of that name: a topic's {RULE}");
        assert_eq!(
            mistakes,
            [
                expected("source `more` reads topic \"more words\""),
                expected("sink `out` writes topic \"../out\""),
                expected("dead letters go to topic \"\""),
            ]
        );
    }

    #[test]
    fn a_wrong_name_of_an_application_is_told_once() {
        for application in ["", ".", "..", "my shop", "a/b", "../b", "sh\0p", "café", &"a".repeat(233)] {
            let mistakes = told(application, |_, words| {
                let _ = words.key_by("word", Clone::clone);
            });
            assert_eq!(mistakes.len(), 1, "{mistakes:?}");
            assert!(
                mistakes[0].contains(&format!("{application:?}")) && mistakes[0].contains("1 to 232"),
                "{mistakes:?}"
            );
        }
    }

    #[test]
    fn names_may_be_as_long_as_topics_names() {
        let (application, longest) = ("a".repeat(232), "w".repeat(249 - "shop--repartition".len()));
        assert_eq!(told(&application, |_, _| ()), Vec::<String>::new());
        let keyed = |operator: &str| {
            told("shop", |_, words| {
                let _ = words.key_by(operator, Clone::clone);
            })
        };
        assert_eq!(keyed(&longest), Vec::<String>::new());
        assert_eq!(keyed("..A-z_0.9"), Vec::<String>::new());
        assert_eq!(keyed(&format!("{longest}w")).len(), 1);
    }
}
