//! Workers come and go as members that no group knows by name, with warm copies of each other's state: one is stopped in
//! good order, one is killed and comes back to a ghost of its own.

use std::time::{Duration, Instant};

use scenari::kafka::Kafka;
use scenari::webhook::Webhook;
use scenari::world::{Role, World};

use crate::On;
use crate::calm;
use crate::lives::{Lives, assert_same, plan};

const WORKERS: [Role; 2] = [Role::Worker(0), Role::Worker(1)];
/// Each worker has about two of the four tasks.
const FLAGS: [&str; 4] = ["--membership", "dynamic", "--standbys", "2"];
const PATIENCE: Duration = Duration::from_secs(120);

/// Goes on until each worker keeps a copy of something that is the other's.
fn run_until_copied(world: &World, lives: &mut Lives<'_>) {
    let started = Instant::now();
    let copies = || WORKERS.map(|role| world.metric(role, "beacon_standby_tasks").unwrap_or_default());
    while copies().iter().any(|count| *count < 1.0) {
        assert!(started.elapsed() < PATIENCE, "copies after {PATIENCE:?}: {:?}", copies());
        lives.step(world);
    }
}

#[test]
fn workers_that_come_and_go_decide_what_a_calm_one_does() {
    let calm = calm::told(On::Kafka);
    let webhook = Webhook::start();
    let mut world = World::kafka_with(Kafka::shared(), &plan(&webhook), &FLAGS);
    world.add_worker();
    let mut lives = Lives::begin(&webhook, calm::LIVES, Duration::from_millis(350));
    run_until_copied(&world, &mut lives);

    world.stop(Role::Worker(0));
    // Nobody knows it by name, so nobody waits for its return: what it had goes on without it.
    let (stopped, begun) = (Instant::now(), lives.begun_by(lives.elapsed()));
    while !lives.pending(begun).is_empty() {
        assert!(stopped.elapsed() < PATIENCE, "nobody took over (life, stage): {:?}", lives.pending(begun));
        lives.step(&world);
    }
    world.start(Role::Worker(0));
    run_until_copied(&world, &mut lives);
    world.kill9(Role::Worker(1));
    world.start(Role::Worker(1));

    lives.run_to_end(&mut world, PATIENCE);
    webhook.assert_quiet_for(Duration::from_secs(2));
    assert_eq!(webhook.taken().len(), calm.len(), "the notifier went on, so nothing was told again");
    let ledger = world.finish();
    assert_same(&ledger.told(), calm);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}
