//! Example 1: A job without state: read, change, write.
//!
//! `cargo run --example 01_map`

mod place;

use std::error::Error;

use beacon_core::topology::{Topic, TopologyBuilder};
use place::Place;

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let (lines, words) = (Topic::<String>::new("lines"), Topic::<String>::new("words"));
    let place = Place::with_topics(&["lines", "words"])?;

    // Names are the identity of operators; a topology without mistakes is a value that can be shown, tested and run.
    let app = TopologyBuilder::new("words");
    app.source("lines", &lines)
        .flat_map("split", |line| line.split_whitespace().map(str::to_lowercase).collect::<Vec<_>>())
        .filter("long enough", |word| word.len() > 3)
        .sink("words", &words, |word| word.clone().into_bytes());
    let topology = app.build()?;
    print!("{}", topology.describe());

    let running = place.start(topology)?;
    place.send(&lines, "any", &"The quick brown fox".to_owned())?;
    place.send(&lines, "any", &"jumps over the lazy dog".to_owned())?;

    let mut found: Vec<_> = place.wait_for(&words, 5)?.into_iter().map(|(_, word)| word).collect();
    running.stop()?;
    found.sort();
    println!("{found:?}");
    assert_eq!(found, ["brown", "jumps", "lazy", "over", "quick"]);
    Ok(())
}
