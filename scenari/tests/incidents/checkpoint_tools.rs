//! Somebody looks after an installation with `beacon app`: its checkpoints, and a worker that has to begin again.

use std::process::Output;
use std::time::{Duration, Instant};

use scenari::alert::Alert;
use scenari::webhook::Webhook;
use scenari::world::{Role, World};
use serde_json::Value;

use crate::On;
use crate::lives::{Lives, plan};
use crate::lost_disk::run_until_checkpointed;

const LIVES: usize = 100;
const PATIENCE: Duration = Duration::from_secs(60);

crate::on_both_logs!(checkpoints_are_listed_verified_and_tried_and_a_reset_worker_knows_the_plan);

/// Runs `beacon app checkpoints` and returns what it printed, a JSON object a line.
fn checkpoints(world: &World, arguments: &[&str]) -> (Output, Vec<Value>) {
    let url = world.checkpoints_url();
    let output = world.app(&[&["checkpoints"], arguments, &["--json", "--checkpoints", &url]].concat());
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("no JSON: {line}")));
    let lines = lines.collect();
    (output, lines)
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

fn checkpoints_are_listed_verified_and_tried_and_a_reset_worker_knows_the_plan(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    let mut lives = Lives::begin(&webhook, LIVES, Duration::from_millis(300));
    run_until_checkpointed(&world, &mut lives);
    for role in [Role::Worker(0), Role::Notifier] {
        world.stop(role);
    }

    let (output, tasks) = checkpoints(&world, &["list"]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(tasks.len(), 8, "four of the pipeline, four of the notifier: {tasks:?}");
    for task in &tasks {
        let valid = task["checkpoints"].as_array().expect("a list").iter().filter(|link| link["valid"] == true).count();
        assert!(valid >= 2, "{task}");
        assert!(task["checkpoints"][0]["shared_bytes"].as_u64().expect("a number") > 0, "each is whole anew: {task}");
        assert!(task["changelog"]["start"].as_u64().expect("a number") > 0, "{task}");
        assert_eq!(task["problems"].as_array().expect("a list").len(), 0, "{task}");
    }
    let url = world.checkpoints_url();
    let text = said(&world.app(&["checkpoints", "list", "worker", "--checkpoints", &url]));
    assert!(text.contains("pipeline, task 3: ") && text.contains("GENERATION") && text.contains(" valid"), "{text}");

    let (output, _) = checkpoints(&world, &["verify"]);
    assert!(output.status.success(), "{}", said(&output));
    let into = world.directory().join("tried");
    let (output, runs) = checkpoints(&world, &["restore-dry-run", "--into", into.to_str().expect("text")]);
    assert!(output.status.success(), "{}", said(&output));
    assert_eq!(runs.len(), 8);
    for run in &runs {
        assert!(
            run["restorable"] == true && run["offset"].as_u64().is_some() && run["tail"].as_u64().is_some(),
            "{run}"
        );
        let application = run["application"].as_str().expect("text");
        assert!(into.join(application).join(format!("task-{}", run["task"])).is_dir(), "{run}");
    }
    let (output, _) = checkpoints(&world, &["restore-dry-run", "--into", into.to_str().expect("text")]);
    assert!(!output.status.success() && said(&output).contains("is there already"), "{}", said(&output));

    damage_is_found(&world, &tasks[0]);
    a_reset_worker_knows_the_plan(&mut world, &webhook);
}

/// One byte of one file, and then half of a manifest.
fn damage_is_found(world: &World, task: &Value) {
    let newest = &task["checkpoints"][0];
    let manifest = newest["object"].as_str().expect("a name").to_owned();
    let files = world.checkpoints().join(&manifest).ancestors().nth(2).expect("a folder").join("files");
    let sizes = std::fs::read_dir(&files).expect("files").map(|entry| {
        let path = entry.expect("an entry").path();
        (path.metadata().expect("it is there").len(), path)
    });
    let (_, path) = sizes.max().expect("a task has files");
    let whole = std::fs::read(&path).expect("read");
    let mut broken = whole.clone();
    let middle = broken.len() / 2;
    broken[middle] ^= 1;
    std::fs::write(&path, &broken).expect("written");
    let name = path.file_name().and_then(|name| name.to_str()).expect("text").to_owned();
    let (output, _) = checkpoints(world, &["verify"]);
    assert_eq!(output.status.code(), Some(1), "{}", said(&output));
    assert!(said(&output).contains(&name), "{name} is not named: {}", said(&output));
    std::fs::write(&path, &whole).expect("mended");

    let path = world.checkpoints().join(&manifest);
    let whole = std::fs::read(&path).expect("read");
    std::fs::write(&path, &whole[..whole.len() / 2]).expect("written");
    let (output, tasks) = checkpoints(world, &["list"]);
    assert!(output.status.success(), "looking is no judgement: {}", said(&output));
    assert_eq!(tasks[0]["checkpoints"][0]["valid"], false, "{}", tasks[0]);
    assert!(tasks[0]["problems"][0].as_str().is_some_and(|problem| problem.contains(&manifest)), "{}", tasks[0]);
    std::fs::write(&path, &whole).expect("mended");
    let (output, _) = checkpoints(world, &["verify"]);
    assert!(output.status.success(), "{}", said(&output));
}

fn a_reset_worker_knows_the_plan(world: &mut World, webhook: &Webhook) {
    let url = world.checkpoints_url();
    let started = Instant::now();
    loop {
        let output = world.app(&["reset", "worker", "--to", "latest", "--yes", "--checkpoints", &url]);
        if output.status.success() {
            break;
        }
        // A static member is in the group until its session expires.
        assert!(said(&output).contains("is at work"), "{}", said(&output));
        assert!(started.elapsed() < PATIENCE, "{}", said(&output));
    }
    assert_eq!(world.checkpoints_of("pipeline").iter().sum::<usize>(), 0, "they are of a changelog that is gone");
    assert!(world.checkpoints_of("notifier").iter().all(|count| *count > 0), "another application's stay");
    world.start(Role::Worker(0));
    world.start(Role::Notifier);
    // Alerts that come before it has read the plan again are told nobody of; so is one that came with the first start.
    let told = |page: &scenari::webhook::Page| page.payload().group_labels["service"].starts_with("after-reset");
    let before = webhook.pages().len();
    for number in 0.. {
        world.accept(&[Alert::named("AfterReset").label("service", format!("after-reset-{number}"))]);
        std::thread::sleep(Duration::from_millis(500));
        if webhook.pages_after(before).iter().any(told) {
            break;
        }
        assert!(started.elapsed() < 2 * PATIENCE, "after its reset the worker has no plan");
    }
}
