//! Example 4: Windows of event time: clicks per minute, by when they happened and not by when they came.
//!
//! `cargo run --example 04_window`

mod place;

use std::error::Error;
use std::time::Duration;

use beacon_core::operator::Count;
use beacon_core::topology::{Topic, TopologyBuilder, Windows};
use place::Place;

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let clicks = Topic::<String>::new("clicks");
    let (counts, late) = (Topic::<String>::new("counts"), Topic::<String>::new("late"));
    let place = Place::with_topics(&["clicks", "counts", "late"])?;

    let app = TopologyBuilder::new("clicks");
    let minutes = app
        .source("clicks", &clicks)
        // Clicks may be ten seconds out of order; a partition without any is not waited for after half a second.
        .with_event_time(Duration::from_secs(10))
        .with_idleness(Duration::from_millis(500))
        .key_by("page", Clone::clone)
        .window("minutes", Windows::tumbling(Duration::from_secs(60)), Count::new());
    minutes
        .to_stream()
        .map("text", |(page, minute)| {
            format!("{page} {}s: {}", (minute.start.as_millis() - MIDNIGHT) / 1000, minute.value)
        })
        .sink("counts", &counts, |text| text.clone().into_bytes());
    // Windows have an output beside the main one: for what comes after its window is gone.
    minutes
        .output::<(String, String)>("late")
        .map("late page", |(page, _)| page)
        .sink("late", &late, |page| page.clone().into_bytes());

    let running = place.start(app.build()?)?;
    for (page, second) in [("home", 5), ("home", 58), ("blog", 50), ("home", 65), ("home", 57), ("home", 131)] {
        // All clicks of a visitor are in one partition, in the order they were written.
        place.send_at(&clicks, "visitor", &page.to_owned(), MIDNIGHT + second * 1000)?;
    }
    // At 131 s less ten the first two minutes are over. The last one stays open: nothing comes after it.
    let mut found: Vec<_> = place.wait_for(&counts, 3)?.into_iter().map(|(_, text)| text).collect();
    place.send_at(&clicks, "visitor", &"home".to_owned(), MIDNIGHT + 30_000)?;
    let too_late = place.wait_for(&late, 1)?;
    running.stop()?;
    found.sort();
    println!("{found:?}, too late: {too_late:?}");
    assert_eq!(found, ["blog 0s: 1", "home 0s: 3", "home 60s: 1"]);
    assert_eq!(too_late, [("home".to_owned(), "home".to_owned())]);
    Ok(())
}

/// 2026-01-01T00:00:00Z, in milliseconds.
const MIDNIGHT: i64 = 1_767_225_600_000;
