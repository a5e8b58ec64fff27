//! Runs a command beside a real Kafka: `with-kafka cargo test -p beacon-core`.
//!
//! The command finds the broker in `KAFKA_BOOTSTRAP_SERVERS`; it is found or started as scenari's harness does it, once
//! for all test programs of the command, and gone when the command has ended. Without any Kafka the command still runs,
//! so that the tests that need one fail by name.

use std::env;
use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitCode};

use scenari::kafka::Kafka;

fn main() -> ExitCode {
    let mut arguments = env::args_os().skip(1);
    let Some(program) = arguments.next() else {
        eprintln!("usage: with-kafka COMMAND [ARGUMENT]...");
        return ExitCode::from(2);
    };
    let mut command = Command::new(&program);
    command.args(arguments);
    let kafka = match Kafka::find() {
        Ok(kafka) => {
            eprintln!("with-kafka: KAFKA_BOOTSTRAP_SERVERS={}", kafka.bootstrap());
            command.env("KAFKA_BOOTSTRAP_SERVERS", kafka.bootstrap());
            Some(kafka)
        }
        Err(error) => {
            eprintln!("with-kafka: {error:#}");
            None
        }
    };
    let ended = command.status();
    drop(kafka);
    match ended {
        Ok(status) => {
            // As a shell reports a command that a signal has ended.
            let code = status.code().unwrap_or_else(|| 128 + status.signal().unwrap_or_default());
            ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX))
        }
        Err(error) => {
            eprintln!("with-kafka: cannot start {}: {error}", program.display());
            ExitCode::from(127)
        }
    }
}
