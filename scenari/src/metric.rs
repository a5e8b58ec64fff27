//! What a process says of its metrics.

use crate::http;

/// The sum over all labels of one metric, from `/metrics` below this URL; nothing while that does not answer.
pub fn sum(base: &str, name: &str) -> Option<f64> {
    let answer = http::get(&format!("{base}/metrics")).and_then(|answer| answer.expect_status(200)).ok()?;
    let of_this = |line: &&str| line.strip_prefix(name).is_some_and(|rest| rest.starts_with(['{', ' ']));
    let values = answer.body.lines().filter(of_this).filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok());
    Some(values.sum())
}
