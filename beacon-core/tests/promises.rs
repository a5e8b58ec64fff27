//! Every promise in the crate's documentation names the test that holds it, and that test is there.

use std::path::Path;

/// The crate's documentation, line by line.
fn documentation() -> Vec<&'static str> {
    include_str!("../src/lib.rs").lines().filter_map(|line| line.strip_prefix("//!")).map(str::trim).collect()
}

/// The list under "Promises", one text for each.
fn promises(lines: &[&str]) -> Vec<String> {
    let mut promises: Vec<String> = Vec::new();
    let section = lines.iter().skip_while(|line| **line != "# Promises").skip(1);
    for line in section.take_while(|line| !line.starts_with("# ")) {
        if let Some(first) = line.strip_prefix("* ") {
            promises.push(first.to_owned());
        } else if let Some(last) = promises.last_mut().filter(|_| !line.is_empty()) {
            last.push(' ');
            last.push_str(line);
        }
    }
    promises
}

/// Files and names of the tests that a text names: `` `tests/file.rs: name` ``.
fn tests_named(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs: ")).collect()
}

/// Whether the file has a test of this name, written out or made by a macro for several logs.
fn has_test(source: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    lines.iter().enumerate().any(|(at, line)| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        line.starts_with(&function)
            && (attributes.clone().any(|line| *line == "#[test]") || in_proptest(&lines[..at]))
            // What does not run holds nothing.
            && !attributes.clone().any(|line| line.starts_with("#[ignore"))
    })
}

/// Whether the nearest block that is open here is one of property tests.
fn in_proptest(before: &[&str]) -> bool {
    before
        .iter()
        .rev()
        .find(|line| **line == "proptest! {" || **line == "mod tests {")
        .is_some_and(|line| *line == "proptest! {")
}

#[test]
fn each_promise_of_the_documentation_names_a_test_that_exists() {
    let lines = documentation();
    let promises = promises(&lines);
    assert!(promises.len() >= 15, "the list of promises is found: {promises:?}");
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for promise in &promises {
        let named = tests_named(promise);
        if named.is_empty() {
            wrong.push(format!("names no test: {promise}"));
        }
        for (file, name) in named {
            match std::fs::read_to_string(root.join(format!("{file}.rs"))) {
                Ok(source) if has_test(&source, name) => {}
                Ok(_) => wrong.push(format!("{file}.rs has no test {name}")),
                Err(error) => wrong.push(format!("{file}.rs: {error}")),
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn a_test_that_is_gone_is_noticed() {
    assert_eq!(tests_named("Yes (`tests/a.rs: b`, `src/c.rs: d`) and `code`."), [("tests/a", "b"), ("src/c", "d")]);
    let source = "#[test]\nfn holds() {}\nfn helper() {}\n#[test]\n#[ignore = \"slow\"]\nfn ignored() {}\nproptest! {\n#[test]\nfn property(x: u8) {}\n}\n";
    assert!(has_test(source, "holds") && has_test(source, "property"));
    assert!(!has_test(source, "helper") && !has_test(source, "hold") && !has_test(source, "ignored"));
    let lines = ["# Promises", "", "* One", "goes on.", "* Two.", "", "# Next", "* Three"];
    assert_eq!(promises(&lines), ["One goes on.", "Two."]);
}
