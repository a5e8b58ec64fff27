//! A receiver is added to the plan and processes are told by SIGHUP, one after the other: its first page must not be lost
//! to the one that was told last. A plan that is broken changes nothing.

use std::fs;
use std::time::Duration;

use beacon_proto::topics;
use beacon_proto::v1::{Delivery, Outcome};
use prost::Message;
use scenari::alert::Alert;
use scenari::http;
use scenari::wait::{same, wait_until};
use scenari::webhook::Webhook;
use scenari::world::{Role, World};

use crate::On;

const PATIENCE: Duration = Duration::from_secs(90);

crate::on_both_logs!(a_receiver_added_by_sighup_gets_its_first_page);

fn a_receiver_added_by_sighup_gets_its_first_page(on: On) {
    let (old, new) = (Webhook::start(), Webhook::start());
    let mut world = on.start(&plan(&old, None));
    world.accept(&[alert("old", 1)]);
    old.wait_for(1, PATIENCE);

    let file = world.directory().join("alertmanager.yml");
    fs::write(&file, "route: {receiver: nobody}\n").expect("the directory is ours");
    world.process(Role::Gateway).hang_up();
    wait_for_reload(&world, false);
    world.accept(&[alert("old", 2)]);
    old.wait_for(2, PATIENCE);

    fs::write(&file, plan(&old, Some(&new))).expect("the directory is ours");
    world.process(Role::Gateway).hang_up();
    wait_for_reload(&world, true);
    world.accept(&[alert("new", 1)]);
    if on == On::Kafka {
        wait_until("the notifier to have tried in vain", PATIENCE, || {
            let entries = world.read(topics::DELIVERIES);
            let mut deliveries = entries.iter().filter_map(|entry| Delivery::decode(entry.value.as_deref()?).ok());
            let retried =
                |d: &Delivery| d.outcome() == Outcome::Retry && d.detail.contains("plan has no new/webhook[0]");
            if deliveries.any(|delivery| retried(&delivery)) {
                Ok(())
            } else {
                Err(format!("{} entries", entries.len()))
            }
        });
        assert!(new.pages().is_empty(), "the notifier does not know it");
        world.process(Role::Notifier).hang_up();
    }
    new.wait_for(1, PATIENCE);

    // Which of plan and alert a worker reads first is open, so the old receiver may have heard of the new alert, too.
    let again = old.taken().iter().filter(|page| page.payload().group_labels["team"] == "old").count();
    assert_eq!(again, 2, "a reload tells nobody anything again");
    assert_eq!(new.taken().len(), 1);
    let ledger = world.finish();
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

/// Waits until the gateway says how the last reading of its file ended.
#[track_caller]
fn wait_for_reload(world: &World, successful: bool) {
    let wanted = format!("alertmanager_config_last_reload_successful {}", u8::from(successful));
    wait_until(&wanted, PATIENCE, || {
        let metrics = http::get(&format!("{}/metrics", world.url()))?.expect_status(200)?;
        let found = metrics.body.lines().find(|line| line.starts_with("alertmanager_config_last_reload_successful "));
        same(found, Some(wanted.as_str()))
    });
}

fn alert(team: &str, number: u32) -> Alert {
    Alert::named("Slow").label("team", team).label("shard", number.to_string())
}

fn plan(old: &Webhook, new: Option<&Webhook>) -> String {
    let (mut routes, mut receivers) = (String::new(), String::new());
    if let Some(new) = new {
        routes = "  routes:\n  - receiver: new\n    matchers: ['team=\"new\"']\n".to_owned();
        receivers = format!("- name: new\n  webhook_configs:\n  - url: '{}'\n", new.url());
    }
    format!(
        "route:
  receiver: old
  group_by: [team, shard]
  group_wait: 300ms
  group_interval: 1s
  repeat_interval: 1h
{routes}receivers:
- name: old
  webhook_configs:
  - url: '{}'
{receivers}",
        old.url(),
    )
}
