//! The same configurations and alerts given to Alertmanager's own `amtool`: it must take what Beacon takes, refuse what
//! Beacon calls wrong, and route every alert to the same receivers.
//!
//! Needs `amtool` (Debian: `RUNLEVEL=1 apt-get install --no-install-recommends prometheus-alertmanager`); without it these
//! tests fail.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use beacon_plan::{Labels, Plan, matcher};
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

fn amtool(arguments: &[&str]) -> Output {
    Command::new("amtool").args(arguments).output().unwrap_or_else(|error| {
        panic!(
            "amtool cannot be run ({error}); install it: \
             RUNLEVEL=1 apt-get install --no-install-recommends prometheus-alertmanager"
        )
    })
}

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(folder);
    let entries = fs::read_dir(folder).expect("the folder of configurations is there");
    let paths = entries.map(|entry| entry.expect("it can be listed").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "yml")).collect()
}

fn utf8(path: &Path) -> &str {
    path.to_str().expect("the path of the repository is UTF-8")
}

fn check(path: &Path) -> (bool, String) {
    let output = amtool(&["check-config", utf8(path)]);
    let said = String::from_utf8_lossy(&output.stdout).into_owned() + &String::from_utf8_lossy(&output.stderr);
    (output.status.success(), said)
}

fn amtool_receivers(config: &Path, labels: &Labels) -> Vec<String> {
    let pairs: Vec<String> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
    let config = format!("--config.file={}", utf8(config));
    let mut arguments = vec!["config", "routes", "test", &config];
    arguments.extend(pairs.iter().map(String::as_str));
    let output = amtool(&arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).trim().split(',').map(str::to_owned).collect()
}

#[test]
fn alertmanager_takes_what_is_valid_and_what_the_status_shows_of_it() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    for path in files("valid") {
        let (ok, said) = check(&path);
        assert!(ok, "{}: {said}", path.display());
        let plan = Plan::parse(&fs::read_to_string(&path).expect("readable"), "f.yml").expect("valid");
        let shown = folder.path().join("status.yml");
        fs::write(&shown, plan.status_yaml()).expect("writable");
        let (ok, said) = check(&shown);
        assert!(ok, "{}: {said}\n{}", path.display(), plan.status_yaml());
    }
    let builtin = folder.path().join("builtin.yml");
    fs::write(&builtin, Plan::builtin_terminal().status_yaml()).expect("writable");
    assert!(check(&builtin).0);
}

#[test]
fn alertmanager_refuses_what_is_invalid_and_takes_what_is_only_unsupported() {
    for path in files("invalid") {
        let (ok, said) = check(&path);
        assert!(!ok, "{} is taken: {said}", path.display());
    }
    for path in files("unsupported") {
        let (ok, said) = check(&path);
        assert!(ok, "{}: {said}", path.display());
    }
}

#[test]
fn alerts_go_to_the_same_receivers_in_written_trees() {
    let values = ["", "1", "2", "12"];
    for name in ["continue.yml", "yaml-quirks.yml", "full.yml"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs/valid").join(name);
        let plan = Plan::parse(&fs::read_to_string(&path).expect("readable"), "f.yml").expect("valid");
        let mut alerts: Vec<Labels> = Vec::new();
        for a in values {
            for (b, c) in [("", ""), ("1", ""), ("2", "1"), ("", "12"), ("1", "2")] {
                alerts.push([("a", a), ("b", b), ("c", c)].map(|(n, v)| (n.to_owned(), v.to_owned())).into());
            }
        }
        for (team, severity, instance) in
            [("db", "page", "db1"), ("db", "page", "x"), ("web shop", "warn", "a"), ("web shop", "", "a")]
        {
            let pairs = [("team", team), ("severity", severity), ("instance", instance), ("zone", "east")];
            alerts.push(pairs.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
        }
        let quirks = [("severity", "page"), ("level", "1"), ("muted", "false")];
        alerts.push(quirks.map(|(n, v)| (n.to_owned(), v.to_owned())).into());
        for alert in alerts {
            let alert: Labels = alert.into_iter().filter(|(_, value)| !value.is_empty()).collect();
            if alert.is_empty() {
                continue; // amtool wants at least one label.
            }
            assert_eq!(plan.receivers_of(&alert), amtool_receivers(&path, &alert), "{name}: {alert:?}");
        }
    }
}

/// Regular expressions whose meaning differs between Go and other dialects.
const PATTERNS: [&str; 10] =
    [r"\d+", r"\w", r"[^\W]+", r"[a&&1]+", r"a|1", r"", r"(?i)A", r"[[:alpha:]]?", r"1{1,2}", r"."];

#[test]
fn alerts_go_to_the_same_receivers_in_random_trees() {
    use proptest::prelude::*;
    let matcher = prop_oneof![
        ("[abc]", "=|!=", "[1aü]?").prop_map(|(name, op, value)| format!("{name}{op}\"{value}\"")),
        ("[abc]", "=~|!~", proptest::sample::select(&PATTERNS[..]))
            .prop_map(|(name, op, pattern)| format!("{name}{op}\"{}\"", pattern.replace('\\', "\\\\"))),
    ];
    let node = (proptest::collection::vec(matcher, 0..3), any::<bool>());
    let show = |(matchers, continues): &(Vec<String>, bool), children: &[String]| {
        let matchers: Vec<String> = matchers.iter().map(|m| format!("'{m}'")).collect();
        // The receiver is numbered when the tree is complete.
        format!(
            "{{matchers: [{}], continue: {continues}, receiver: r@, routes: [{}]}}",
            matchers.join(", "),
            children.join(", ")
        )
    };
    let leaf = node.clone().prop_map(move |node| show(&node, &[]));
    let tree = leaf.prop_recursive(3, 16, 4, move |inner| {
        (node.clone(), proptest::collection::vec(inner, 0..4)).prop_map(move |(node, children)| show(&node, &children))
    });
    let trees = proptest::collection::vec(tree, 1..5);
    let alerts = proptest::collection::vec(proptest::collection::btree_map("[abc]", "1|11|a|A|ü|٤|&", 1..4), 5);

    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut runner = TestRunner::deterministic();
    for round in 0..30 {
        let routes = trees.new_tree(&mut runner).expect("a tree").current().join(", ");
        let mut numbered = String::new();
        let mut count = 0;
        for part in routes.split("r@") {
            if count > 0 {
                numbered.push_str(&format!("r{count}"));
            }
            numbered.push_str(part);
            count += 1;
        }
        let receivers: Vec<String> = (0..count).map(|number| format!("{{name: r{number}}}")).collect();
        let yaml = format!("route: {{receiver: r0, routes: [{numbered}]}}\nreceivers: [{}]\n", receivers.join(", "));
        let path = folder.path().join(format!("{round}.yml"));
        fs::write(&path, &yaml).expect("writable");
        let plan = Plan::parse(&yaml, "f.yml").unwrap_or_else(|e| panic!("{e}\n{yaml}"));
        for alert in alerts.new_tree(&mut runner).expect("alerts").current() {
            assert_eq!(plan.receivers_of(&alert), amtool_receivers(&path, &alert), "{alert:?} in {yaml}");
        }
    }
}

/// One route for each pattern, so that one call tells which of them match a value.
fn pattern_tree(patterns: &[&str]) -> String {
    let quoted = |pattern: &str| format!("'{}'", pattern.replace('\'', "''"));
    let route = |(index, pattern): (usize, &&str)| {
        format!("    - {{match_re: {{a: {}}}, receiver: r{index}, continue: true}}\n", quoted(pattern))
    };
    let routes: String = patterns.iter().enumerate().map(route).collect();
    let receivers: String = (0..patterns.len()).map(|index| format!("  - name: r{index}\n")).collect();
    format!("route:\n  receiver: none\n  routes:\n{routes}receivers:\n  - name: none\n{receivers}")
}

#[test]
fn regular_expressions_mean_what_they_mean_in_go() {
    let patterns = [
        r"\d+",
        r"\D+",
        r"\w+",
        r"\W+",
        r"\s*\S",
        r"[\W]",
        r"[^\W]",
        r"[\d.-]+",
        r"[a&&b]+",
        r"[[a]+",
        r"[a~~b]+",
        r"[+--]+",
        r"[]a]+",
        r"[^]a]",
        r"[[:alpha:]_]+",
        r"[[:^digit:]]",
        r"[[:word:]]+",
        r"a{",
        r"a{,2}",
        r"a{2,3}",
        r"a{2,}?b",
        r"\Qa.b*\E+",
        r"\<a\>",
        r"\x41\x{42}\103",
        r"(?i)ü",
        r"(?i:K)",
        r"(?s:a.b)",
        r"(?P<x>a)b",
        r"\p{Greek}+",
        r"\pL",
        r"\p{^Lu}",
        r"\P{^Lu}",
        r"a\b-b",
        r"a\Bb",
        r"#a b",
        r"a\_b\-\/",
        r".*",
        r".",
        r"|a",
        r"(a|)b?",
        r"^a$",
        r"\Aa\z",
        r"[a\-z]+",
        r"[\]\[]+",
        r"a??b",
        r"(?U)a+",
        r"(?m)^a$",
        r"[^a-c]",
        r"[\x{3b1}-\x{3c9}]+",
        r"\.",
        r"a\{2\}",
        r"}",
        r"[\n\t]*x",
        r"(?i)[^k]",
    ];
    let values = [
        "a", "b", "ab", "aa", "aaa", "aaab", "A", "1", "42", "٤٢", "ü", "Ü", "k", "K", "K", "_", "a_1", "a-b", "a&b",
        "a~", "[a", "]", "+,-", "a{", "a.b*", "a.b**", "<a>", "ABC", "αβ", "#a b", "#ab", "a_b-/", ".", "x", "1.2-3",
        "\u{a0}", "a\u{a0}", "z",
    ];
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("patterns.yml");
    let yaml = pattern_tree(&patterns);
    fs::write(&path, &yaml).expect("writable");
    let plan = Plan::parse(&yaml, "f.yml").unwrap_or_else(|e| panic!("{e}"));
    for value in values {
        let alert: Labels = [("a".to_owned(), value.to_owned())].into();
        let named = |receivers: &[String]| -> Vec<String> {
            let pattern = |name: &String| name[1..].parse().map_or("none", |index: usize| patterns[index]).to_owned();
            receivers.iter().map(pattern).collect()
        };
        let ours: Vec<String> = plan.receivers_of(&alert).into_iter().map(str::to_owned).collect();
        assert_eq!(named(&ours), named(&amtool_receivers(&path, &alert)), "patterns that match {value:?}");
    }
}

#[test]
fn what_is_no_regular_expression_in_go_is_none_here() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("pattern.yml");
    for pattern in [
        "a(",
        "a)",
        "[a",
        "[b-a]",
        "a**",
        "a{2}{3}",
        "a+*",
        "*a",
        "a|+",
        "a{1001}",
        "a{3,2}",
        "(?=a)",
        "(?<=a)",
        r"(a)\1",
        "(?x)a",
        r"\y",
        "a\\",
        r"\p{Nonsense}",
        r"\xg1",
        r"\Z",
        "(?P<a",
        "(?P<>a)",
        "(?P=a)",
        "(?i",
        "[[:nonsense:]]",
        r"[a-\d]",
        "x{2,1001}",
    ] {
        let yaml = pattern_tree(&[pattern]);
        fs::write(&path, &yaml).expect("writable");
        assert!(!check(&path).0, "amtool takes {pattern}");
        assert!(Plan::parse(&yaml, "f.yml").is_err(), "Beacon takes {pattern}");
    }
}

#[test]
fn matchers_are_taken_and_refused_alike() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("matcher.yml");
    let version = String::from_utf8(amtool(&["--version"]).stdout).expect("UTF-8");
    let classic_only = (0..27).any(|minor| version.contains(&format!("version 0.{minor}.")));
    for (matcher, labels) in [
        ("a=b", "a=b"),
        ("a=b,", "a=b"),
        ("{a=b", "a=b"),
        ("a=b}", "a=b"),
        ("a = b c ", "a=b c"),
        ("a=", "c=1"),
        ("a=\"b,c\"", "a=b,c"),
        ("a=\"b\\tc\"", "a=b\\tc"),
        ("a=\"b\\nc\"", "a=b\nc"),
        ("a=b\\", "a=b\\"),
        ("a==b", "a==b"),
        ("a=~~", "c=1"),
        ("a!=b", "a=c"),
        ("a:b=c", "c=1"),
        ("a", "a=b"),
        ("a=b,,", "a=b"),
        (",", "a=b"),
        ("1a=b", "a=b"),
        ("a=b\"c", "a=b"),
        ("a=\"b", "a=b"),
        ("a~b", "a=b"),
        ("a b=c", "a=b"),
        ("a=\"b\"c\"", "a=b"),
    ] {
        let quoted = matcher.replace('\\', "\\\\").replace('"', "\\\"");
        let yaml = format!(
            "route: {{receiver: no, routes: [{{matchers: [\"{quoted}\"], receiver: hit}}]}}\nreceivers: [{{name: no}}, {{name: hit}}]\n"
        );
        fs::write(&path, &yaml).expect("writable");
        let (taken, said) = check(&path);
        let plan = Plan::parse(&yaml, "f.yml").map(|_| ());
        // Before 0.27 amtool knows the classic form only; with the other one Beacon takes more.
        let classic = matcher::classic::parse(matcher);
        let ours = if classic_only { classic.is_ok() } else { plan.is_ok() };
        assert_eq!(ours, taken, "{matcher}: {said}{classic:?}{plan:?}");
        if taken {
            let plan = Plan::parse(&yaml, "f.yml").unwrap_or_else(|e| panic!("{matcher}: {e}"));
            let (name, value) = labels.split_once('=').expect("a label");
            let alert: Labels = [(name.to_owned(), value.to_owned())].into();
            assert_eq!(plan.receivers_of(&alert), amtool_receivers(&path, &alert), "{matcher} on {labels}");
        }
    }
}
