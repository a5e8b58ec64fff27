//! The notifier as a process of its own, on Kafka.

use beacon_notifier::command::{Arguments, run};
use clap::Parser;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    beacon_service::logging::init(&arguments.process.logging)?;
    run(arguments).await
}
