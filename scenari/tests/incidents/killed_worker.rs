//! For a minute the worker is killed every two seconds while alerts come in; on the embedded log that is everything.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use scenari::webhook::Webhook;
use scenari::world::Role;

use crate::On;
use crate::calm;
use crate::lives::{Lives, assert_same, plan};

const STORM: Duration = Duration::from_secs(60);
const EVERY: Duration = Duration::from_secs(2);

crate::on_both_logs!(what_was_decided_equals_a_calm_run);

fn what_was_decided_equals_a_calm_run(on: On) {
    let calm = calm::told(on);
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    // The last life begins a few seconds before the storm ends: there is work at each kill.
    let mut lives = Lives::begin(&webhook, calm::LIVES, Duration::from_millis(550));

    let (mut killed, mut kills) = (Instant::now(), 0);
    while lives.elapsed() < STORM {
        lives.step(&world);
        if killed.elapsed() >= EVERY {
            world.kill9(Role::Worker(0));
            world.start(Role::Worker(0));
            (killed, kills) = (Instant::now(), kills + 1);
        }
    }
    assert!(kills >= 20, "only {kills} kills in a minute: starting takes too long");
    lives.run_to_end(&mut world, Duration::from_secs(60));
    webhook.assert_quiet_for(Duration::from_secs(2));

    let keys: BTreeSet<_> = webhook.taken().into_iter().map(|page| page.idempotency_key).collect();
    assert_eq!(keys.len(), calm.len(), "a page told again after a kill has the key of the first");
    if on == On::Kafka {
        assert_eq!(webhook.taken().len(), calm.len(), "the notifier was not killed, so nothing was told again");
    }
    let ledger = world.finish();
    assert_same(&ledger.told(), calm);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}
