//! The alert pipeline as a process of its own, on Kafka.

use beacon_worker::command::{Arguments, run};
use clap::Parser;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    beacon_service::logging::init(&arguments.process.logging)?;
    run(arguments).await
}
