//! What a job stores is read by every later version: files of this folder are what earlier ones stored, and the job goes on
//! from each of them.
//!
//! `format-1.txt`, `format-2.txt` and so on hold the topics and disks of one small job, of [`job`], in a form for reading
//! ([`kept`]). The last of them is what this version writes itself. When
//! `a_new_run_stores_what_the_last_file_says_to_the_byte` fails, what is stored has changed:
//!
//! * If that was not meant, take it back. Jobs that run somewhere would find their state empty, or read it as something else.
//! * If it was meant, keep reading what was written before; `a_job_goes_on_from_the_topics_of_every_version` says whether that
//!   works. Then write a new file beside the others, which no version ever changes, and commit it:
//!
//!   ```text
//!   cargo test -p beacon-core --no-default-features --test stored -- --ignored write_the_next_file
//!   ```
//!
//! A file may go when a new major version no longer reads it.

mod job;
mod kept;
mod run;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use beacon_core::state::layout::{KEYED, META, SHARED, WATERMARKS};
use job::{PRICES, call_of, shopping, topology};
use kept::Kept;
use run::Run;

const WHAT_TO_DO: &str = "take the change back, or keep reading the old bytes and add a file, and never change one \
                          (beacon-core/tests/stored/main.rs says how)";

fn file(number: u32) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/stored/format-{number}.txt"))
}

/// All files, oldest first: name and text.
fn files() -> Vec<(String, String)> {
    let folder = fs::read_dir(file(0).parent().expect("a folder")).expect("the folder of this test");
    let names = folder.map(|entry| entry.expect("readable").file_name().into_string().expect("text"));
    let number = |name: &str| name.strip_prefix("format-")?.strip_suffix(".txt")?.parse::<u32>().ok();
    let mut numbers: Vec<_> = names.filter_map(|name| number(&name)).collect();
    numbers.sort_unstable();
    assert!(!numbers.is_empty(), "no file says what earlier versions stored");
    assert_eq!(numbers, (1..=numbers.len() as u32).collect::<Vec<_>>(), "files are numbered without gaps");
    let text = |number| fs::read_to_string(file(number)).expect("text");
    numbers.into_iter().map(|number| (format!("format-{number}.txt"), text(number))).collect()
}

/// Goes on with the job and sees that everything is still there, each time as its type: what waits in topics, state, the
/// open call, timers of both times, and the end of lifetimes.
fn goes_on(mut run: Run, from: &str) {
    println!("the job goes on from {from}; if it does not, {WHAT_TO_DO}");
    let told = |run: &mut Run, what: &str, expected: &[&str]| {
        run.settle();
        assert_eq!(run.told(), expected, "{what} (at the left)");
    };
    told(&mut run, "the answer that was under way", &["cid has credit: no (answer 1)"]);
    run.order("o-10 ann show 0");
    run.order("o-11 ben show 0");
    run.order("o-12 cid show 0");
    let now = [
        "ann spent 2650; items: rum=1 tea=3; orders: o-1 o-7 o-8; latest: o-8; prices: rum=1900 tea=300; new price: tea 300",
        "ben spent 1900; items: rum=1; orders: o-2; latest: o-2; prices: rum=1900 tea=300; new price: tea 300",
        "cid spent 4050; items: rum=2 tea=1; orders: o-6 o-9; latest: o-9; prices: rum=1900 tea=300; new price: tea 300",
    ];
    told(&mut run, "the state", &now);
    run.answer(&call_of(&run, "ben"), "maybe");
    told(&mut run, "the open call", &["ben has credit: maybe (answer 1)"]);
    assert_eq!(run.open_calls(), []);
    run.send(PRICES, "rum", "rum 2000");
    run.order("o-13 ann rum 1");
    told(&mut run, "nothing to be told", &[]);
    run.advance(Duration::from_secs(65));
    told(&mut run, "timers on the clock", &["ann was idle at 75000", "ben was idle at 60000", "cid was idle at 75000"]);
    // Event time comes to the last order of the partition that is behind, and to customers when all tasks have said so.
    run.order("o-10 ann show 0");
    run.order("o-11 ben show 0");
    run.order("o-12 cid show 0");
    run.settle();
    let events: Vec<_> = run.told().into_iter().filter(|told| !told.contains("; items: ")).collect();
    let expected = [
        "ann was billed at 45000",
        "ben was billed at 30000",
        "cid was billed at 45000",
        "o-1 of 0 was late at 20000",
        "o-13 of 15000 was late at 35000",
        "o-2 of 0 was late at 20000",
        "o-6 of 15000 was late at 35000",
        "o-7 of 15000 was late at 35000",
        "o-8 of 15000 was late at 35000",
        "o-9 of 15000 was late at 35000",
    ];
    assert_eq!(events, expected, "timers in event time (at the left)");
    run.advance(Duration::from_secs(3600 - 65));
    run.order("o-10 ben show 0");
    run.order("o-11 cid show 0");
    let ended = [
        "ben spent 1900; items: rum=1; orders: o-2; latest: ; prices: rum=2000 tea=300; new price: rum 2000",
        "cid spent 4050; items: rum=2 tea=1; orders: o-6 o-9; latest: ; prices: rum=2000 tea=300; new price: rum 2000",
    ];
    told(&mut run, "lifetimes", &ended);
    // Sweeps are a little behind, and done by whoever comes by.
    run.advance(Duration::from_secs(200));
    run.order("o-10 ann show 0");
    run.order("o-11 ben show 0");
    run.settle();
    run.keep_disks();
    let entries = run.kept().disks.into_iter().flat_map(|disk| disk.entries);
    let spaces: BTreeSet<_> = entries.map(|(key, _)| key[0]).collect();
    assert_eq!(spaces, [KEYED, SHARED, WATERMARKS, META].into(), "of timers, calls and lifetimes nothing is left");
}

#[test]
fn a_job_goes_on_from_the_topics_of_every_version() {
    for (name, text) in files() {
        let kept = Kept::from_text(&text);
        goes_on(Run::over(topology(), &kept, false), &format!("the changelog in {name}"));
    }
}

#[test]
fn a_job_goes_on_from_the_disks_of_every_version() {
    for (name, text) in files() {
        let kept = Kept::from_text(&text);
        for (number, disk) in (0..).zip(&kept.disks) {
            let changelog = kept.log.iter().find(|(at, _)| &*at.topic == "shop-changelog" && at.partition == number);
            let end = changelog.map_or(0, |(_, records)| records.len() as u64);
            assert!(0 < disk.reflects && disk.reflects < end, "disk {number} of {name} is behind the changelog");
        }
        goes_on(Run::over(topology(), &kept, true), &format!("the disks in {name}"));
    }
}

/// The first line in which two texts differ, with the record or entry it belongs to.
fn first_difference(kept: &str, written: &str) -> Option<String> {
    let (kept, written): (Vec<_>, Vec<_>) = (kept.lines().collect(), written.lines().collect());
    let at = (0..kept.len().max(written.len())).find(|at| kept.get(*at) != written.get(*at))?;
    let of = kept[..at.min(kept.len())].iter().rev().find(|line| !line.starts_with(' ')).unwrap_or(&"the beginning");
    let shown = |lines: &[&str]| lines.get(at).map_or("(nothing more)", |line| line.trim_end()).to_owned();
    Some(format!("after `{of}`\nthere is    {}\nand is now  {}", shown(&kept), shown(&written)))
}

#[test]
fn a_new_run_stores_what_the_last_file_says_to_the_byte() {
    let (name, text) = files().pop().expect("there is one");
    let difference = first_difference(&Kept::from_text(&text).to_text(), &shopping().kept().to_text());
    let difference = difference.unwrap_or_default();
    assert!(difference.is_empty(), "this version stores something else than {name}: {difference}\n{WHAT_TO_DO}");
}

#[test]
fn a_difference_is_shown_with_where_it_is() {
    let (one, other) = ("record a/0@7 at 5\n  key 61\n  value 62\n", "record a/0@7 at 5\n  key 61\n  value 63\n");
    assert_eq!(first_difference(one, one), None);
    let shown = first_difference(one, other).expect("they differ");
    assert_eq!(shown, "after `record a/0@7 at 5`\nthere is      value 62\nand is now    value 63");
    assert!(first_difference(one, "record a/0@7 at 5\n  key 61\n").expect("shorter").ends_with("(nothing more)"));
}

/// Writes what this version stores into a file behind the last one.
#[test]
#[ignore = "writes a file of this folder; main.rs says when"]
fn write_the_next_file() {
    let number = (1..).find(|number| !file(*number).exists()).expect("numbers do not end");
    let kept = shopping().kept();
    let text = format!(
        "# What version {} of beacon-core stored of the job in job.rs. kept.rs says how to read it. Never change it.\n{}",
        env!("CARGO_PKG_VERSION"),
        kept.to_text()
    );
    assert_eq!(Kept::from_text(&text), kept);
    fs::write(file(number), text).expect("the folder of this test");
}
