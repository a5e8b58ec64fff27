//! Somebody updates Beacon while pages are under way: the process that is asked to stop finishes them first, and the one
//! that comes after it does not repeat them.

use std::fs;
use std::thread;
use std::time::Duration;

use scenari::alert::Alert;
use scenari::wait::wait_until;
use scenari::webhook::{Mood, Webhook};
use scenari::world::Role;

use crate::On;

const GROUPS: usize = 24;
const PATIENCE: Duration = Duration::from_secs(90);

crate::on_both_logs!(pages_under_way_at_a_stop_are_finished_and_not_repeated);

fn pages_under_way_at_a_stop_are_finished_and_not_repeated(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    webhook.set_mood(Mood::Hold);
    world.accept(&services("before", GROUPS));
    wait_until("all pages to be under way", PATIENCE, || match webhook.pages().len() {
        GROUPS => Ok(()),
        other => Err(format!("{other} pages")),
    });

    let log = world.process(Role::Notifier).log_path().to_owned();
    thread::scope(|scope| {
        scope.spawn(|| {
            wait_until("the notifier to hear of the stop", PATIENCE, || {
                let said = fs::read_to_string(&log).map_err(|error| error.to_string())?;
                if said.contains("finishing what is under way") { Ok(()) } else { Err(said) }
            });
            webhook.set_mood(Mood::Answer(200));
        });
        world.stop(Role::Notifier);
    });
    world.start_all();
    world.accept(&services("after", GROUPS));
    webhook.wait_for(2 * GROUPS, PATIENCE);
    webhook.assert_quiet_for(Duration::from_secs(2));

    assert_eq!(webhook.pages().len(), 2 * GROUPS, "nothing comes twice");
    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), 2 * GROUPS);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

/// An alert for each of so many services.
fn services(kind: &str, count: usize) -> Vec<Alert> {
    (0..count).map(|number| Alert::named("Failing").label("service", format!("{kind} {number:02}"))).collect()
}

fn plan(webhook: &Webhook) -> String {
    format!(
        "route: {{receiver: pager, group_by: [service], group_wait: 300ms, group_interval: 1s, repeat_interval: 4h}}
receivers: [{{name: pager, webhook_configs: [{{url: '{}', timeout: 5m}}]}}]
",
        webhook.url()
    )
}
