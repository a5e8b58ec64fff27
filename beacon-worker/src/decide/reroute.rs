//! Which groups an alert belongs to, and what changes when a plan does.

use beacon_plan::Plan;
use beacon_proto::v1::internal::{GroupMembership, GroupSettings};
use std::collections::BTreeMap;

/// The groups the plan routes these labels to, in the order of the routing tree.
pub fn memberships(plan: &Plan, labels: &BTreeMap<String, String>) -> Vec<GroupMembership> {
    plan.route(labels)
        .into_iter()
        .map(|matched| {
            let settings = matched.route.settings();
            GroupMembership {
                group_id: matched.group_id(),
                settings: Some(GroupSettings {
                    receiver: settings.receiver.clone(),
                    route_id: matched.route.id().to_owned(),
                    group_wait_ms: millis(settings.group_wait),
                    group_interval_ms: millis(settings.group_interval),
                    repeat_interval_ms: millis(settings.repeat_interval),
                    group_labels: matched.group_labels,
                }),
                group_key: matched.group_key,
            }
        })
        .collect()
}

fn millis(duration: std::time::Duration) -> i64 {
    i64::try_from(duration.as_millis()).unwrap_or(i64::MAX)
}

/// Names of the receivers, each once, in order.
pub fn receivers(groups: &[GroupMembership]) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for settings in groups.iter().filter_map(|group| group.settings.as_ref()) {
        if !names.contains(&settings.receiver) {
            names.push(settings.receiver.clone());
        }
    }
    names
}

/// What moving from `old` to `new` groups means: groups to leave, groups to tell (joined, or with new settings).
pub fn difference<'a>(
    old: &'a [GroupMembership],
    new: &'a [GroupMembership],
) -> (Vec<&'a GroupMembership>, Vec<&'a GroupMembership>) {
    let left = old.iter().filter(|group| !new.iter().any(|other| other.group_id == group.group_id)).collect();
    let told = new.iter().filter(|group| !old.contains(group)).collect();
    (left, told)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group(key: &str, wait: i64) -> GroupMembership {
        let settings = GroupSettings { group_wait_ms: wait, ..GroupSettings::default() };
        GroupMembership { group_id: key.into(), group_key: key.into(), settings: Some(settings) }
    }

    #[test]
    fn a_plan_that_changes_nothing_tells_nobody() {
        let groups = [group("a", 1), group("b", 1)];
        assert_eq!(difference(&groups, &groups), (vec![], vec![]));
    }

    #[test]
    fn leaves_what_is_gone_and_tells_what_is_new_or_different() {
        let (old, new) = ([group("a", 1), group("b", 1)], [group("b", 2), group("c", 1)]);
        let (left, told) = difference(&old, &new);
        assert_eq!(left, [&old[0]]);
        assert_eq!(told, [&new[0], &new[1]]);
    }
}
