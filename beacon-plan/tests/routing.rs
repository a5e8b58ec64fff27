//! Which route takes which alert, and what its groups are called.

use std::collections::HashSet;
use std::time::Duration;

use beacon_plan::route::GroupBy;
use beacon_plan::{Labels, Plan};
use proptest::prelude::*;

fn plan(yaml: &str) -> Plan {
    Plan::parse(yaml, "f.yml").unwrap_or_else(|e| panic!("{e}"))
}

fn labels(pairs: &[(&str, &str)]) -> Labels {
    pairs.iter().map(|(n, v)| ((*n).to_owned(), (*v).to_owned())).collect()
}

const TREE: &str = include_str!("configs/valid/continue.yml");

#[test]
fn alerts_descend_stop_and_continue_as_in_alertmanager() {
    let plan = plan(TREE);
    for (alert, receivers) in [
        (&[][..], &["nota1"][..]),
        (&[("a", "2"), ("b", "1")], &["default"]),
        (&[("a", "2"), ("c", "1")], &["c1"]),
        (&[("a", "2"), ("c", "2")], &["nota1"]),
        (&[("a", "2"), ("c", "3")], &["nota1"]),
        (&[("a", "1")], &["a1", "a1twin"]),
        (&[("a", "1"), ("b", "1")], &["a1b1", "a1b12", "a1twin"]),
        (&[("a", "1"), ("b", "2"), ("c", "1")], &["a1b12", "a1twin"]),
        (&[("a", "1"), ("c", "1")], &["a1c1", "a1twin"]),
    ] {
        assert_eq!(plan.receivers_of(&labels(alert)), receivers, "{alert:?}");
    }
}

#[test]
fn settings_are_inherited_and_overridden() {
    let plan = plan(
        "
route:
  receiver: a
  group_by: [x]
  group_wait: 1s
  routes:
    - matchers: [m=1]
      group_by: ['...']
      repeat_interval: 1h
      routes:
        - {matchers: [n=1], receiver: b, group_by: []}
        - {matchers: [n=2], group_by: [y, z], group_wait: 0s}
receivers: [{name: a}, {name: b}]
",
    );
    let settings = |alert: &[(&str, &str)]| plan.route(&labels(alert))[0].route.settings().clone();
    let root = settings(&[]);
    assert_eq!(root.group_by, GroupBy::Labels(["x".to_owned()].into()));
    let times =
        |s: &beacon_plan::route::Settings| [s.group_wait, s.group_interval, s.repeat_interval].map(|d| d.as_secs());
    assert_eq!(times(&root), [1, 300, 4 * 3600]);
    let empty_list = settings(&[("m", "1"), ("n", "1")]);
    assert_eq!((empty_list.receiver.as_str(), &empty_list.group_by), ("b", &GroupBy::All));
    assert_eq!(times(&empty_list), [1, 300, 3600]);
    let own = settings(&[("m", "1"), ("n", "2")]);
    assert_eq!((own.receiver.as_str(), own.group_wait), ("a", Duration::ZERO));
    assert_eq!(own.group_by, GroupBy::Labels(["y".to_owned(), "z".to_owned()].into()));
}

#[test]
fn group_keys_are_alertmanager_s() {
    let plan = plan(
        r#"
route:
  receiver: a
  group_by: [alertname, absent, instance]
  routes:
    - matchers: [severity=page]
    - matchers: ['team=~"db|web"', zone!=north]
      match: {severity: warn}
      routes:
        - matchers: ['"a b"="c\"d"']
          group_by: ['...']
receivers: [{name: a}]
"#,
    );
    for (alert, key) in [
        (&[("alertname", "Down")][..], r#"{}:{alertname="Down"}"#),
        (&[("x", "y")], "{}:{}"),
        (
            &[("severity", "page"), ("alertname", "Down"), ("instance", "a\"b")],
            r#"{}/{severity="page"}:{alertname="Down", instance="a\"b"}"#,
        ),
        (
            &[("severity", "warn"), ("team", "db"), ("a b", "c\"d")],
            r#"{}/{severity="warn",team=~"db|web",zone!="north"}/{"a b"="c\"d"}:{a b="c\"d", severity="warn", team="db"}"#,
        ),
    ] {
        let groups = plan.route(&labels(alert));
        assert_eq!(groups.iter().map(|group| group.group_key.as_str()).collect::<Vec<_>>(), [key]);
        assert_eq!(groups[0].group_id(), key, "without twins both are the same");
    }
}

#[test]
fn twins_have_one_key_but_groups_of_their_own() {
    let plan = plan(TREE);
    let groups = plan.route(&labels(&[("a", "1")]));
    let keys: Vec<&str> = groups.iter().map(|group| group.group_key.as_str()).collect();
    assert_eq!(keys, [r#"{}/{a="1"}:{}"#, r#"{}/{a="1"}:{}"#]);
    let ids: Vec<String> = groups.iter().map(|group| group.group_id()).collect();
    assert_eq!(ids, [r#"{}/{a="1"}:{}"#, r#"{}/{a="1"}#1:{}"#]);
    assert!(groups.iter().all(|group| plan.route_by_id(group.route.id()).is_some()));
}

#[test]
fn a_route_keeps_its_id_when_others_come_and_settings_change() {
    let id = |yaml: &str| plan(yaml).route(&labels(&[("a", "1")]))[0].group_id();
    let before = "route: {receiver: r, routes: [{matchers: [a=1]}]}\nreceivers: [{name: r}]";
    let after = "route: {receiver: r, group_wait: 1s, routes: [{matchers: [b=1]}, {match: {a: 1}, repeat_interval: 1h}]}\nreceivers: [{name: r}]";
    assert_eq!(id(before), id(after));
}

#[test]
fn matchers_that_only_the_classic_parser_understands_are_warned_of() {
    let plan =
        plan("route:\n  receiver: r\n  routes:\n    - matchers: ['a=b c', 'd=\"x\\ty\"']\nreceivers: [{name: r}]\n");
    let warnings: Vec<String> = plan.warnings().iter().map(ToString::to_string).collect();
    assert_eq!(
        warnings,
        [
            "4:18: route.routes[0].matchers[0]: only the classic parser understands this matcher; write a=\"b c\" instead",
            "4:27: route.routes[0].matchers[1]: the classic and the UTF-8 parser read this matcher differently; the classic reading holds; write d=\"x\\\\ty\" instead",
        ]
    );
}

fn tree() -> impl Strategy<Value = String> {
    let node = ("[abc](=|!=|=~|!~)'?[12x]?", any::<bool>(), 0usize..3, proptest::option::of("[ab]"));
    let leaf = node.clone().prop_map(|node| route(&node, &[]));
    let tree = leaf.prop_recursive(3, 20, 4, move |inner| {
        (node.clone(), proptest::collection::vec(inner, 0..4)).prop_map(|(node, children)| route(&node, &children))
    });
    proptest::collection::vec(tree, 0..5).prop_map(|routes| {
        format!("route: {{receiver: r0, group_by: [a], routes: [{}]}}\nreceivers: [{{name: r0}}, {{name: r1}}, {{name: r2}}]\n", routes.join(", "))
    })
}

fn route(
    (matcher, continues, receiver, group_by): &(String, bool, usize, Option<String>),
    children: &[String],
) -> String {
    let matcher = matcher.replace('\'', "");
    let group_by = group_by.as_ref().map_or(String::new(), |label| format!("group_by: [{label}], "));
    format!(
        "{{matchers: ['{matcher}'], continue: {continues}, receiver: r{receiver}, {group_by}routes: [{}]}}",
        children.join(", ")
    )
}

proptest! {
    #[test]
    fn every_alert_has_a_group_and_groups_have_one_owner(yaml in tree(), alert in proptest::collection::btree_map("[abc]", "[12]", 0..4)) {
        let plan = plan(&yaml);
        let groups = plan.route(&alert);
        prop_assert!(!groups.is_empty());
        let ids: HashSet<String> = groups.iter().map(|group| group.group_id()).collect();
        prop_assert_eq!(ids.len(), groups.len(), "ids of groups are unique in {}", yaml);
        let routes = plan.root().walk();
        prop_assert_eq!(routes.iter().map(|r| r.id()).collect::<HashSet<_>>().len(), routes.len());
    }

    #[test]
    fn redacted_plans_are_a_fixed_point(yaml in tree(), name in "[^\u{0}]{1,12}") {
        let quoted: String = name.chars().map(|c| format!("\\U{:08X}", u32::from(c))).collect();
        let plan = plan(&yaml.replace("{name: r2}", &format!("{{name: r2}}, {{name: \"{quoted}\"}}")));
        let read = Plan::parse_redacted(plan.redacted_yaml(), "redacted").unwrap_or_else(|e| panic!("{e}\n{}", plan.redacted_yaml()));
        prop_assert_eq!(read.redacted_yaml(), plan.redacted_yaml());
        prop_assert_eq!(&read.receivers()[3].name, &name);
    }

    #[test]
    fn no_configuration_panics(text in "(route|receivers|matchers|name|global|[-:{}\\[\\], \n'\"a&*]){0,30}") {
        let _ = Plan::parse(&text, "f.yml");
    }
}
