//! Every promise in the crate's documentation names the test that holds it, and that test is there. So does every
//! invariant that a module or a type says it has. And the documentation knows the crate's features.

use std::fs;
use std::path::{Path, PathBuf};

/// The crate's documentation, line by line.
fn documentation(source: &str) -> Vec<&str> {
    source.lines().filter_map(|line| line.strip_prefix("//!")).map(str::trim).collect()
}

/// The list under a heading, one text for each point.
fn points(lines: &[&str], heading: &str) -> Vec<String> {
    let mut points: Vec<String> = Vec::new();
    let section = lines.iter().skip_while(|line| **line != heading).skip(1);
    for line in section.take_while(|line| !line.starts_with("# ")) {
        if let Some(first) = line.strip_prefix("* ") {
            points.push(first.to_owned());
        } else if let Some(last) = points.last_mut().filter(|_| !line.is_empty()) {
            last.push(' ');
            last.push_str(line);
        }
    }
    points
}

/// The features in a crate's manifest, and what is on by default.
fn features(manifest: &str) -> (Vec<&str>, &str) {
    let section = manifest.lines().skip_while(|line| *line != "[features]").skip(1).take_while(|line| !line.is_empty());
    let mut all: Vec<_> =
        section.filter(|line| !line.starts_with(['#', ' '])).filter_map(|l| l.split_once(" = ")).collect();
    let default = all.iter().position(|(name, _)| *name == "default").map_or("[]", |at| all.remove(at).1);
    (all.into_iter().map(|(name, _)| name).collect(), default)
}

/// The paragraphs of all documentation in a file; whether each is a point of a list.
fn paragraphs(source: &str) -> Vec<(bool, String)> {
    let mut all: Vec<(bool, String)> = Vec::new();
    let mut goes_on = false;
    for line in source.lines().map(str::trim) {
        let text = line.strip_prefix("//!").or_else(|| line.strip_prefix("///")).map_or("", str::trim);
        let point = text.strip_prefix("* ");
        match all.last_mut().filter(|_| goes_on && point.is_none() && !text.is_empty()) {
            Some((_, paragraph)) => paragraph.extend([" ", text]),
            None if !text.is_empty() => all.push((point.is_some(), point.unwrap_or(text).to_owned())),
            None => {}
        }
        goes_on = !text.is_empty();
    }
    all
}

/// What is said to be invariant: the paragraph that says so, or, where it ends in a colon, each point of the list behind it.
fn invariants(source: &str) -> Vec<String> {
    let (mut found, mut in_list) = (Vec::new(), false);
    for (is_point, text) in paragraphs(source) {
        let begins = !is_point && text.contains("Invariant");
        in_list = if is_point { in_list } else { begins && text.ends_with(':') };
        if (is_point && in_list) || (begins && !in_list) {
            found.push(text);
        }
    }
    found
}

/// Files and names of the tests that a text names: `` `tests/file.rs: name` ``.
fn tests_named(text: &str) -> Vec<(&str, &str)> {
    text.split('`').skip(1).step_by(2).filter_map(|code| code.split_once(".rs: ")).collect()
}

/// Whether the file has a test of this name, written out or made by a macro for several logs; what is beside it has the
/// macros of several files.
fn has_test(source: &str, beside: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let lines: Vec<_> = source.lines().map(str::trim).collect();
    let written_out = lines.iter().enumerate().any(|(at, line)| {
        let attributes = lines[..at].iter().rev().take_while(|line| line.starts_with("#["));
        line.starts_with(&function)
            && (attributes.clone().any(|line| *line == "#[test]") || in_proptest(&lines[..at]))
            // What does not run holds nothing.
            && !attributes.clone().any(|line| line.starts_with("#[ignore"))
    });
    let made = || lines.iter().any(|line| line.trim_start_matches("pub ").starts_with(&function));
    written_out || (made() && (in_macro(source, name) || in_macro(beside, name)))
}

/// Whether the nearest block that is open here is one of property tests.
fn in_proptest(before: &[&str]) -> bool {
    before
        .iter()
        .rev()
        .find(|line| **line == "proptest! {" || **line == "mod tests {")
        .is_some_and(|line| *line == "proptest! {")
}

/// Whether a list given to a macro, or written in one, has the name: at the outermost level of a file, where macros make
/// tests.
fn in_macro(source: &str, name: &str) -> bool {
    let mut inside = false;
    source.lines().any(|line| {
        let code = line.split("//").next().unwrap_or_default();
        let path = code.split_once("!(").map_or("", |(path, _)| path);
        let is_path = |path: &str| {
            !path.is_empty() && path.chars().all(|letter| letter.is_alphanumeric() || "_:".contains(letter))
        };
        let begins = code.starts_with("macro_rules! ") || is_path(path);
        inside |= begins;
        let found =
            inside && code.split(|letter: char| !letter.is_alphanumeric() && letter != '_').any(|word| word == name);
        if code.starts_with(['}', ')']) || (begins && code.ends_with(");")) {
            inside = false;
        }
        found
    })
}

/// Whether a file below `src` or `tests` is part of something that is compiled: a program of its own, or a module of what
/// is beside it.
fn is_compiled(file: &Path) -> bool {
    let (Some(stem), Some(folder)) = (file.file_stem().and_then(|stem| stem.to_str()), file.parent()) else {
        return false;
    };
    if folder.ends_with("tests") || stem == "main" || stem == "lib" {
        return true;
    }
    let declaration = format!("mod {stem};");
    let paths = ["/", "\""].map(|before| format!("{before}{stem}.rs\"]"));
    let declares = |path_of: PathBuf| {
        let source = fs::read_to_string(path_of).unwrap_or_default();
        let plain =
            |line: &str| line.trim().trim_start_matches("pub ").trim_start_matches("pub(crate) ") == declaration;
        source
            .lines()
            .any(|line| plain(line) || (line.starts_with("#[path = ") && paths.iter().any(|path| line.ends_with(path))))
    };
    let folders = [Some(folder), folder.parent()].into_iter().flatten();
    let beside =
        folders.flat_map(|folder| fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()));
    beside.filter(|path| path.extension().is_some_and(|end| end == "rs")).any(declares)
}

/// What is wrong with a test that is named, if anything.
fn fault(root: &Path, file: &str, name: &str) -> Option<String> {
    let path = root.join(format!("{file}.rs"));
    let beside = path.parent().map(|folder| fs::read_to_string(folder.join("mod.rs")).unwrap_or_default());
    match fs::read_to_string(&path) {
        Err(error) => Some(format!("{file}.rs: {error}")),
        Ok(_) if !is_compiled(&path) => Some(format!("{file}.rs is part of no program")),
        Ok(source) if has_test(&source, &beside.unwrap_or_default(), name) => None,
        Ok(_) => Some(format!("{file}.rs has no test {name}")),
    }
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).expect("a folder of the crate").map(|entry| entry.expect("readable").path()) {
        match entry.is_dir() {
            true => found.extend(sources(&entry)),
            false => found.extend((entry.extension().is_some_and(|end| end == "rs")).then_some(entry)),
        }
    }
    found
}

#[test]
fn each_promise_of_the_documentation_names_a_test_that_exists() {
    let lines = documentation(include_str!("../src/lib.rs"));
    let promises = points(&lines, "# Promises");
    assert!(promises.len() >= 30, "the list of promises is found: {}", promises.len());
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut wrong = Vec::new();
    for promise in &promises {
        let named = tests_named(promise);
        if named.is_empty() {
            wrong.push(format!("names no test: {promise}"));
        }
        wrong.extend(named.into_iter().filter_map(|(file, name)| fault(root, file, name)));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn each_feature_is_described() {
    let described = points(&documentation(include_str!("../src/lib.rs")), "# Features");
    let mut described: Vec<_> = described.iter().filter_map(|point| point.split('`').nth(1)).collect();
    let (mut features, default) = features(include_str!("../Cargo.toml"));
    described.sort_unstable();
    features.sort_unstable();
    assert_eq!(described, features, "the documentation (left) and Cargo.toml");
    // `embedded` brings `rocksdb`.
    assert_eq!(default, r#"["kafka", "embedded", "object-storage"]"#, "all are on, says the documentation");
}

#[test]
fn each_invariant_names_a_test_that_exists() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut wrong, mut found) = (Vec::new(), 0);
    for path in sources(&root.join("src")) {
        let source = fs::read_to_string(&path).expect("text");
        let shown = path.strip_prefix(root).unwrap_or(&path).display();
        let stated = invariants(&source);
        found += stated.len();
        let unnamed = stated.iter().filter(|invariant| tests_named(invariant).is_empty());
        wrong.extend(unnamed.map(|invariant| format!("{shown} names no test: {invariant}")));
        let text = paragraphs(&source).into_iter().map(|(_, text)| text).collect::<Vec<_>>().join(" ");
        let fault = |(file, name)| Some(format!("{shown}: {}", fault(root, file, name)?));
        wrong.extend(tests_named(&text).into_iter().filter_map(fault));
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(found >= 45, "the invariants are found: {found}");
}

#[test]
fn an_invariant_without_a_test_is_noticed_wherever_it_stands() {
    let source = "//! What it is. Invariant: one\n//! goes on.\n//!\n//! More.\n\nfn code() {}\n/// Invariants:\n///\n\
                  /// * two,\n///   and on;\n/// * three.\n///\n/// No more.\nstruct S {\n    /// Invariant: four\n    x: u8,\n}\n";
    assert_eq!(
        invariants(source),
        ["What it is. Invariant: one goes on.", "two, and on;", "three.", "Invariant: four"]
    );
}

#[test]
fn a_test_that_is_gone_is_noticed() {
    assert_eq!(tests_named("Yes (`tests/a.rs: b`, `src/c.rs: d`) and `code`."), [("tests/a", "b"), ("src/c", "d")]);
    let source = "#[test]\nfn holds() {}\nfn helper() {}\n#[test]\n#[ignore = \"slow\"]\nfn ignored() {}\nproptest! {\n#[test]\nfn property(x: u8) {}\n}\n";
    let has = |name| has_test(source, "", name);
    assert!(has("holds") && has("property"));
    assert!(!has("helper") && !has("hold") && !has("ignored"));
    let lines = ["# Promises", "", "* One", "goes on.", "* Two.", "", "# Next", "* Three"];
    assert_eq!(points(&lines, "# Promises"), ["One goes on.", "Two."]);
}

#[test]
fn tests_that_a_macro_makes_are_found_in_its_list_and_nowhere_else() {
    let source = "crate::on_both_logs!(first);\ntwice!(\n    second,\n    // third,\n);\nfn first(on: On) {}\n\
                  pub fn second() {}\nfn third() {}\nfn fourth() {\n    check!(fourth);\n}\n";
    let has = |beside, name| has_test(source, beside, name);
    assert!(has("", "first") && has("", "second"));
    assert!(!has("", "third") && !has("", "fourth") && !has("", "twice"));
    // A list of several files; a name in it is no test where there is no such function.
    let beside = "macro_rules! claims {\n    () => {\n        area: third;\n        area: fifth;\n    };\n}\n";
    assert!(has(beside, "third") && !has(beside, "fifth"));
}

#[test]
fn a_file_that_no_program_has_is_noticed() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests");
    assert!(is_compiled(&tests.join("promises.rs")) && is_compiled(&tests.join("log_contract/records.rs")));
    assert!(!is_compiled(&tests.join("log_contract/forgotten.rs")));
}
