//! What an operator of a job can measure: the catalogue of metrics, the live values, and Prometheus's text format.
//!
//! The runtime keeps [`Histogram`]s and counters, reads them into [`Sample`]s, and [`render`] writes those down. What it
//! deliberately does not do: it serves nothing and knows no registry; a process puts the text behind an address of
//! its own, or into a registry it has already.
//!
//! Invariant: every sample belongs to a [`Metric`] of the [`catalogue`], so that what is documented is what is exposed
//! (`tests/embedded/metrics.rs: every_metric_is_told_with_its_value`,
//! `src/metrics/exposition.rs: the_documented_table_is_the_catalogue`).

pub mod catalogue;
mod exposition;
mod histogram;

pub use catalogue::{Kind, Metric};
pub use exposition::{Dialect, Sample, SampleValue, render};
pub use histogram::{Histogram, HistogramReading};
