//! The numbered examples run, each to its end, and find what they promise.

#![allow(clippy::duplicate_mod, reason = "each example is a program of its own and has the module to itself")]

#[cfg(feature = "embedded")]
#[path = "../examples/02_count.rs"]
mod count;
#[cfg(feature = "embedded")]
#[path = "../examples/05_join.rs"]
mod join;
#[cfg(feature = "embedded")]
#[path = "../examples/01_map.rs"]
mod map;
#[cfg(feature = "embedded")]
#[path = "../examples/06_restore.rs"]
mod restore;
#[path = "../examples/07_simulate.rs"]
mod simulate;
#[cfg(feature = "embedded")]
#[path = "../examples/03_timer.rs"]
mod timer;
#[cfg(feature = "embedded")]
#[path = "../examples/04_window.rs"]
mod window;

#[cfg(feature = "embedded")]
#[test]
fn example_01_map() {
    map::main().expect("runs");
}

#[cfg(feature = "embedded")]
#[test]
fn example_02_count() {
    count::main().expect("runs");
}

#[cfg(feature = "embedded")]
#[test]
fn example_03_timer() {
    timer::main().expect("runs");
}

#[cfg(feature = "embedded")]
#[test]
fn example_04_window() {
    window::main().expect("runs");
}

#[cfg(feature = "embedded")]
#[test]
fn example_05_join() {
    join::main().expect("runs");
}

#[cfg(feature = "embedded")]
#[test]
fn example_06_restore() {
    restore::main().expect("runs");
}

#[test]
fn example_07_simulate() {
    simulate::main().expect("runs");
}
