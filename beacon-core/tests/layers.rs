//! The layers of the crate hold: each module uses only those below it, and the pure ones neither wait nor look around.
//!
//! Read from the source text, so that a shortcut fails here and not in a review.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// Lowest first: each may use those before it, and itself.
const ORDER: [&str; 13] = [
    "time",
    "metrics",
    "codec",
    "log",
    "state",
    "timer",
    "operator",
    "topology",
    "task",
    "checkpoint",
    TOP,
    "tools",
    "testing",
];

/// Above what is pure; none of these uses another.
const TOP: &str = "the top";
const ON_TOP: [&str; 2] = ["runtime", "view"];

/// Where the world is let in: files and folders under `src`.
const EDGES: [&str; 11] = [
    "machine.rs",
    "runtime/",
    "tools/",
    "view/",
    "log/embedded/",
    "log/kafka/",
    "state/file_sums.rs",
    "state/rocks.rs",
    "state/rocks_snapshot.rs",
    "state/rocks_tests.rs",
    "checkpoint/storage/",
];

/// What a pure module must not name, and what it does instead.
const BANNED: [(&str, &str); 10] = [
    ("Instant::now", "take the time as an argument"),
    ("SystemTime::now", "take the time as an argument"),
    ("thread::sleep", "say when to be asked again"),
    ("thread::spawn", "leave threads to the runtime"),
    ("thread::Builder", "leave threads to the runtime"),
    ("std::fs", "leave files to a store or a log"),
    ("std::net", "leave the network to a log"),
    ("std::env", "take settings as arguments"),
    ("std::process", "return an error"),
    ("RandomState", "use an ordered map, or take the number as an argument"),
];

struct Source {
    /// Under `src`, with `/`.
    name: String,
    /// Number and text of each line, comments left out.
    lines: Vec<(usize, String)>,
}

impl Source {
    fn layer(&self) -> &str {
        self.name.split('/').next().unwrap_or_default()
    }

    /// How many `super::` lead from a path in this file to the crate's root.
    fn depth(&self) -> usize {
        let parts = self.name.split('/').count();
        if self.name.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    fn is_edge(&self) -> bool {
        EDGES.iter().any(|edge| self.name.starts_with(edge))
    }

    /// Modules of the crate's root that a line names.
    fn used(&self, line: &str) -> BTreeSet<String> {
        let mut used: BTreeSet<String> = names_after(line, "crate::").collect();
        let root = "super::".repeat(self.depth());
        // A test module inside the file is one level deeper; its `super::` is the file itself, never a layer's name.
        used.extend(names_after(line, &root).filter(|name| is_layer(name)));
        used
    }
}

fn is_layer(name: &str) -> bool {
    ORDER.contains(&name) || ON_TOP.contains(&name)
}

/// The names that follow `prefix`; of a group in braces, each first one.
fn names_after<'a>(line: &'a str, prefix: &'a str) -> impl Iterator<Item = String> + 'a {
    let word = |text: &str| text.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect::<String>();
    line.match_indices(prefix).flat_map(move |(at, _)| {
        // `$crate::` in a macro is for its users, `beacon_core::crate::` does not exist.
        let before = line[..at].chars().next_back();
        let after = &line[at + prefix.len()..];
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_' || c == ':' || c == '$') {
            return Vec::new();
        }
        match after.strip_prefix('{') {
            Some(group) => group.split(',').map(|item| word(item.trim())).collect(),
            None => vec![word(after)],
        }
    })
}

fn sources() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut sources = Vec::new();
    let mut folders = vec![root.clone()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).expect("a folder of the crate") {
            let path: PathBuf = entry.expect("an entry").path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let name = path.strip_prefix(&root).expect("under it").to_string_lossy().replace('\\', "/");
                let text = std::fs::read_to_string(&path).expect("text");
                sources.push(Source { name, lines: code(&text) });
            }
        }
    }
    assert!(sources.len() > 50, "the crate's sources are at {}", root.display());
    sources
}

/// Lines without comments; `use` statements over several lines as one.
fn code(text: &str) -> Vec<(usize, String)> {
    let mut lines: Vec<(usize, String)> = Vec::new();
    let mut open_use = false;
    for (number, line) in (1..).zip(text.lines()) {
        let line = line.split("//").next().unwrap_or_default().trim();
        if let Some((_, last)) = lines.last_mut().filter(|_| open_use) {
            last.push_str(line);
        } else {
            lines.push((number, line.to_owned()));
        }
        let begins = line.starts_with("use ") || line.starts_with("pub use ") || line.starts_with("pub(crate) use ");
        open_use = (open_use || begins) && !line.ends_with(';');
    }
    lines
}

fn rank(layer: &str) -> Option<usize> {
    let layer = if ON_TOP.contains(&layer) { TOP } else { layer };
    ORDER.iter().position(|known| *known == layer)
}

/// Uses of a layer that is not below; `file:line uses x`.
fn upward_uses(source: &Source) -> Vec<String> {
    let layer = source.layer();
    let Some(own) = rank(layer) else { return Vec::new() };
    let mut wrong = Vec::new();
    for (number, line) in &source.lines {
        for used in source.used(line) {
            let above = rank(&used).is_some_and(|rank| rank > own || rank == own && used != layer);
            if above {
                wrong.push(format!("{}:{number} uses {used}", source.name));
            }
        }
    }
    wrong
}

#[test]
fn no_module_uses_one_above_it() {
    let wrong: Vec<_> = sources().iter().flat_map(upward_uses).collect();
    assert!(
        wrong.is_empty(),
        "upward uses (order: {}, then {}):\n{}",
        ORDER[..10].join(", "),
        ON_TOP.join("/"),
        wrong.join("\n")
    );
}

#[test]
fn every_module_has_its_place_in_the_order() {
    for source in sources().iter().filter(|source| source.name.contains('/')) {
        assert!(rank(source.layer()).is_some(), "{}: give its module a place in ORDER", source.name);
    }
}

#[test]
fn pure_modules_neither_wait_nor_look_around() {
    let mut wrong = Vec::new();
    for source in sources().iter().filter(|source| !source.is_edge()) {
        for (number, line) in &source.lines {
            for (banned, instead) in BANNED.iter().filter(|(banned, _)| line.contains(banned)) {
                wrong.push(format!("{}:{number} names {banned}: {instead}", source.name));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_edges_are_where_this_test_thinks_they_are() {
    let sources = sources();
    for edge in EDGES {
        assert!(sources.iter().any(|source| source.name.starts_with(edge)), "{edge} is gone: take it out of EDGES");
    }
}

#[test]
fn only_what_calls_librdkafka_directly_is_unsafe() {
    let is_unsafe = |source: &&Source| source.lines.iter().any(|(_, line)| line.contains("unsafe "));
    let sources = sources();
    let found: Vec<_> = sources.iter().filter(is_unsafe).map(|source| source.name.as_str()).collect();
    let (inside, outside): (Vec<_>, Vec<_>) = found.into_iter().partition(|name| name.starts_with("log/kafka/raw/"));
    assert!(!inside.is_empty() && outside.is_empty(), "unsafe outside of log/kafka/raw: {}", outside.join(", "));
}

#[test]
fn an_upward_use_is_found_however_it_is_written() {
    let source = |name: &str, text: &str| Source { name: name.to_owned(), lines: code(text) };
    for (name, text) in [
        ("state/mod.rs", "use crate::task::Task;"),
        ("state/handle.rs", "use crate::{codec::Codec, runtime::App};"),
        ("state/handle.rs", "use crate::{\n    codec::Codec,\n    runtime::App,\n};"),
        ("state/mod.rs", "use super::task;"),
        ("state/handle.rs", "use super::super::task::Task;"),
        ("timer/queue.rs", "fn x() { crate::operator::step() }"),
        ("view/mod.rs", "use crate::runtime::App;"),
        ("time/mod.rs", "use crate::codec::Codec;"),
        ("log/embedded/mod.rs", "use crate::state::Store;"),
    ] {
        assert_eq!(upward_uses(&source(name, text)).len(), 1, "{name}: {text}");
    }
    for (name, text) in [
        ("task/task.rs", "use crate::state::{Store, TaskState};"),
        ("task/task.rs", "// use crate::runtime::App;"),
        ("state/mod.rs", "mod tests { use super::layout; }"),
        ("runtime/thread.rs", "use crate::task::Task;"),
        ("timer/tag.rs", "impl $crate::runtime::App for X {}"),
    ] {
        assert!(upward_uses(&source(name, text)).is_empty(), "{name}: {text}");
    }
}
