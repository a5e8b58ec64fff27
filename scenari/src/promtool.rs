//! Prometheus's own command line tool, Debian's build of it.

use std::io::Write;
use std::process::{Command, Stdio};

use crate::binaries;

/// Reads metrics as Prometheus would, and lints them.
///
/// # Errors
/// What promtool says of them, a line for each complaint.
///
/// # Panics
/// When promtool is not installed.
#[track_caller]
pub fn check_metrics(text: &str) -> Result<(), String> {
    let program = binaries::installed("promtool", "prometheus");
    let mut command = Command::new(&program);
    command.args(["check", "metrics"]).stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(|error| format!("{} does not start: {error}", program.display()))?;
    let mut input = child.stdin.take().expect("it was asked for");
    // One that ends early has said why.
    let _ = input.write_all(text.as_bytes());
    drop(input);
    let output = child.wait_with_output().map_err(|error| format!("promtool: {error}"))?;
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said).trim().to_owned();
    if output.status.success() && said.is_empty() { Ok(()) } else { Err(format!("{}: {said}", output.status)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn good_metrics_pass_and_bad_ones_are_named() {
        let good = "# HELP things_total Things.\n# TYPE things_total counter\nthings_total 1\n";
        assert_eq!(check_metrics(good), Ok(()));
        let lint = check_metrics(&good.replace("things_total", "things")).expect_err("a counter ends in _total");
        assert!(lint.contains("things") && lint.contains("_total"), "{lint}");
        assert!(check_metrics("things_total one\n").is_err());
    }
}
