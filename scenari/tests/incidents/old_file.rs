//! A member of an installation comes back with the `alertmanager.yml` of last week. It must not take everybody's plan
//! back: who is on call now is who is told.

use std::fs::{self, File};
use std::time::{Duration, SystemTime};

use scenari::alert::{self, Alert};
use scenari::ports::free_port;
use scenari::wait::{same, wait_until};
use scenari::webhook::{Payload, Webhook};
use scenari::world::{Role, World};
use scenari::{http, metric};

const PATIENCE: Duration = Duration::from_secs(90);

#[test]
fn a_gateway_that_comes_back_with_an_old_file_follows_the_plan_in_force() {
    let (last_week, on_call) = (Webhook::start(), Webhook::start());
    let mut world = World::kafka(&plan(&last_week, &on_call, "last-week"));
    let file = world.directory().join("alertmanager.yml");
    let old_file = world.directory().join("last-week.yml");
    fs::copy(&file, &old_file).expect("the directory is ours");
    set_written(&old_file, SystemTime::now() - Duration::from_secs(7 * 24 * 60 * 60));
    world.accept(&[service(1)]);
    last_week.wait_for(1, PATIENCE);

    fs::write(&file, plan(&last_week, &on_call, "on-call")).expect("the directory is ours");
    world.process(Role::Gateway).hang_up();
    let told_of = |number: &'static str| move |page: &Payload| page.group_labels["service"] == number;
    on_call.wait_for_page("the worker to have the new plan", PATIENCE, told_of("1"));

    let address = format!("127.0.0.1:{}", free_port());
    let url = format!("http://{address}");
    let launch = world.rival(Role::Gateway).with_flag("--web.listen-address", &address);
    let mut forgotten = launch.with_flag("--config.file", &old_file).start().expect("the same program");
    forgotten.wait_ready(&format!("{url}/-/ready"), PATIENCE).unwrap_or_else(|error| panic!("{error:#}"));
    wait_until("it to say that its file is an old one", PATIENCE, || {
        let output = forgotten.output();
        if output.contains("was replaced by version") { Ok(()) } else { Err(output) }
    });
    assert_eq!(metric::sum(&url, "beacon_gateway_plan_in_force"), Some(0.0));
    assert_eq!(route_of(&url), Ok("on-call".to_owned()), "it answers as the others do");
    alert::post(&url, &[service(2)]).and_then(|answer| answer.expect_status(200)).expect("taken");
    on_call.wait_for_page("who is on call to be told", PATIENCE, told_of("2"));
    assert_eq!(last_week.taken().len(), 1, "and nobody else");

    // Back on purpose, which is not forbidden.
    set_written(&old_file, SystemTime::now() + Duration::from_secs(5));
    forgotten.hang_up();
    wait_until("the old plan at both", PATIENCE, || {
        same([route_of(&url), route_of(&world.url())], [Ok("last-week".to_owned()), Ok("last-week".to_owned())])
    });
    let ledger = world.finish();
    ledger.assert_nothing_decided_twice();
    ledger.assert_no_dead_letters();
}

/// The receiver of the route, as the plan in force has it at this gateway.
fn route_of(url: &str) -> Result<String, String> {
    let status: serde_json::Value = http::get(&format!("{url}/api/v2/status"))?.expect_status(200)?.json();
    let plan = status["config"]["original"].as_str().unwrap_or_default();
    let receiver = plan.lines().find_map(|line| line.trim().strip_prefix("receiver: "));
    receiver.map(str::to_owned).ok_or_else(|| format!("no route in {plan}"))
}

fn set_written(file: &std::path::Path, at: SystemTime) {
    let opened = File::options().write(true).open(file).expect("it is there");
    opened.set_modified(at).expect("it is ours");
}

fn service(number: u32) -> Alert {
    Alert::named("Slow").label("service", number.to_string())
}

fn plan(last_week: &Webhook, on_call: &Webhook, receiver: &str) -> String {
    format!(
        "route:
  receiver: {receiver}
  group_by: [service]
  group_wait: 300ms
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: last-week
  webhook_configs:
  - url: '{}'
- name: on-call
  webhook_configs:
  - url: '{}'
",
        last_week.url(),
        on_call.url(),
    )
}
