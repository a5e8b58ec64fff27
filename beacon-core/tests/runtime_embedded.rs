//! Applications on the embedded log: exactly once through kills, lost disks, rebalances and failing calls.
#![cfg(feature = "embedded")]

mod embedded;
mod support;
