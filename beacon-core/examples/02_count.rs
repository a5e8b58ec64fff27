//! Example 2: State per key: an operator that counts, exactly once.
//!
//! `cargo run --example 02_count`

mod place;

use std::error::Error;

use beacon_core::operator::{Ctx, KeyedProcess, OpResult};
use beacon_core::state::{Registry, Value};
use beacon_core::topology::{KeyedStream, Topic, TopologyBuilder};
use place::Place;

/// Says each time how often its key has come. Its fields are handles; what they stand for is kept by the engine.
struct Counter {
    count: Value<u64>,
}

impl Counter {
    fn new(state: &mut Registry) -> Self {
        Self { count: state.value("count") }
    }
}

impl KeyedProcess for Counter {
    type Key = String;
    type In = String;
    type Out = (String, u64);
    type Timer = ();

    fn on_record(&self, word: String, ctx: &mut Ctx<'_, Self>) -> OpResult {
        let count = self.count.get(ctx)?.unwrap_or(0) + 1;
        self.count.set(ctx, &count);
        ctx.emit((word, count))
    }
}

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (words, counts) = (Topic::<String>::new("words"), Topic::<u64>::new("counts"));
    let place = Place::with_topics(&["words", "counts"])?;

    let app = TopologyBuilder::new("count");
    // `key_by` sends each word to the task of its key, through a topic of the job's own.
    let words_by_word: KeyedStream<String, String> = app.source("words", &words).key_by("word", Clone::clone);
    words_by_word
        .process("counter", Counter::new)
        .keyed("counted", |(word, _)| word.clone())
        .map_values("just the count", |(_, count)| count)
        .sink("counts", &counts);

    let running = place.start(app.build()?)?;
    for word in ["to", "be", "or", "not", "to", "be"] {
        place.send(&words, "any", &word.to_owned())?;
    }
    let mut found = place.wait_for(&counts, 6)?;
    running.stop()?;
    found.sort();
    println!("{found:?}");
    let expected = [("be", 1), ("be", 2), ("not", 1), ("or", 1), ("to", 1), ("to", 2)];
    assert_eq!(found, expected.map(|(word, count)| (word.to_owned(), count)));
    Ok(())
}
