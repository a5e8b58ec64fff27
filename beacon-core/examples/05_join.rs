//! Example 5: A stream joined with a table: orders get the names of their customers.
//!
//! `cargo run --example 05_join`

mod place;

use std::error::Error;

use beacon_core::topology::{Topic, TopologyBuilder};
use place::Place;

/// Runs the example.
pub fn main() -> Result<(), Box<dyn Error>> {
    let text = |name: &str| Topic::<String>::new(name.to_owned());
    let (customers, orders, named) = (text("customers"), text("orders"), text("named"));
    let (seen, unknown) = (text("seen"), text("unknown"));
    let place = Place::with_topics(&["customers", "orders", "named", "seen", "unknown"])?;

    let app = TopologyBuilder::new("orders");
    // A table is a topic of changes: the last value of a key is its row. Here both topics are keyed by customer, so
    // nothing has to move between tasks. (`app.table(..)` does all of this in one call, when nobody else wants the changes.)
    let changes = app.source_changes("customers", &customers);
    let names = changes
        .keyed("customer id", |change| String::from_utf8_lossy(&change.key).into_owned())
        .map_values("name", |change| change.value)
        .to_table();
    changes.sink_changes("seen", &seen);

    let joined = app
        .source("orders", &orders)
        .keyed("buyer", |order| order.split(' ').next().unwrap_or_default().to_owned())
        .join("with names", &names, |order, name| format!("{name}: {order}"));
    joined.sink("named", &named);
    joined.output::<(String, String)>("unmatched").map("order", |(_, order)| order).sink(
        "unknown",
        &unknown,
        |order| order.clone().into_bytes(),
    );

    let running = place.start(app.build()?)?;
    place.send(&customers, "c1", &"Ada".to_owned())?;
    // Two topics have no order between them. What a commit wrote says what it has read: now the row is there.
    place.wait_for(&seen, 1)?;
    place.send(&orders, "c1", &"c1 tea".to_owned())?;
    place.send(&orders, "c2", &"c2 milk".to_owned())?;
    let (found, strangers) = (place.wait_for(&named, 1)?, place.wait_for(&unknown, 1)?);
    running.stop()?;
    println!("{found:?}, unknown: {strangers:?}");
    assert_eq!(found, [("c1".to_owned(), "Ada: c1 tea".to_owned())]);
    assert_eq!(strangers[0].1, "c2 milk");
    Ok(())
}
