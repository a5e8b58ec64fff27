//! Worker and notifier are killed, and the disks with their state are gone. Their changelogs were trimmed to checkpoints, so
//! that what they knew is in checkpoints and nowhere else.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use scenari::webhook::Webhook;
use scenari::world::{Role, World};

use crate::On;
use crate::calm;
use crate::lives::{Lives, assert_same, plan};

const PATIENCE: Duration = Duration::from_secs(120);
/// Two checkpoints are kept, and the clean-up after the third one trims the changelog to the second: the first may be of a
/// task that had done nothing yet, and trims nothing. It is over before the fourth one begins.
const ENOUGH: usize = 4;

crate::on_both_logs!(every_group_is_told_once_by_members_whose_disks_were_lost);

/// Goes on until the changelog of every task was trimmed to a checkpoint.
pub fn run_until_checkpointed(world: &World, lives: &mut Lives<'_>) {
    let started = Instant::now();
    let counts = |world: &World| [world.checkpoints_of("pipeline"), world.checkpoints_of("notifier")];
    while counts(world).iter().flatten().any(|count| *count < ENOUGH) {
        assert!(started.elapsed() < PATIENCE, "too few checkpoints after {PATIENCE:?}: {:?}", counts(world));
        assert!(!lives.all_over(), "the load is over before every task was checkpointed: {:?}", counts(world));
        lives.step(world);
    }
}

fn every_group_is_told_once_by_members_whose_disks_were_lost(on: On) {
    let calm = calm::told(on);
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    let mut lives = Lives::begin(&webhook, calm::LIVES, Duration::from_millis(300));

    run_until_checkpointed(&world, &mut lives);
    let members = [Role::Worker(0), Role::Notifier];
    members.iter().for_each(|role| world.kill9(*role));
    members.iter().for_each(|role| world.lose_disk(*role));
    for changelog in ["pipeline-changelog", "notifier-changelog"] {
        let starts = world.starts_of(changelog);
        assert!(starts.iter().all(|start| *start > 0), "{changelog} could be read from its start: {starts:?}");
    }
    members.iter().for_each(|role| world.start(*role));
    lives.run_to_end(&mut world, PATIENCE);
    webhook.assert_quiet_for(Duration::from_secs(2));

    for (role, application) in members.into_iter().zip(["pipeline", "notifier"]) {
        let output = world.process(role).output();
        for task in 0..world.checkpoints_of(application).len() {
            let (part, name) = (format!("/task-{task}/manifests/"), format!("{application}/"));
            let restored = |line: &str| {
                line.contains("restoring from a checkpoint") && line.contains(&part) && line.contains(&name)
            };
            assert!(output.lines().any(restored), "task {task} of {role:?} has its state from elsewhere:\n{output}");
        }
    }
    let keys: BTreeSet<_> = webhook.taken().into_iter().map(|page| page.idempotency_key).collect();
    assert_eq!(keys.len(), calm.len(), "a page told again after the kill has the key of the first");
    let ledger = world.finish();
    assert_same(&ledger.told(), calm);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}
