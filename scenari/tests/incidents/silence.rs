//! Somebody silences a batch job with amtool; then the power goes. The job stays silent, everything else does not.

use std::time::Duration;

use scenari::alert::Alert;
use scenari::amtool::Amtool;
use scenari::http;
use scenari::wait::wait_until;
use scenari::webhook::Webhook;
use serde_json::Value;

use crate::On;

const PATIENCE: Duration = Duration::from_secs(30);

crate::on_both_logs!(a_silence_by_amtool_survives_the_cut_and_mutes_until_it_is_expired);

fn a_silence_by_amtool_survives_the_cut_and_mutes_until_it_is_expired(on: On) {
    let webhook = Webhook::start();
    let mut world = on.start(&plan(&webhook));
    let amtool = Amtool::new(world.url());

    let id = amtool.silence(&["service=batch", "severity=~page|ticket"]);
    assert_eq!(amtool.silences(), Ok(vec![id.clone()]), "a write is seen by the next read");
    world.accept(&[alert("batch"), alert("web")]);
    world.kill9_all();
    world.start_all();

    wait_until("amtool to show the silence again", PATIENCE, || match amtool.silences() {
        Ok(ids) if ids == [id.clone()] => Ok(()),
        other => Err(format!("{other:?}")),
    });
    webhook.wait_for_page("a page for the service that is not silenced", PATIENCE, |page| {
        page.group_labels["service"] == "web"
    });
    wait_until("the API to show who silences the alert", PATIENCE, || silenced_by(&world.url(), &id));
    // Both groups began together, and flushes come every second.
    webhook.assert_quiet_for(Duration::from_secs(4));
    assert_eq!(webhook.taken().len(), 1, "only the service that is not silenced");

    amtool.expire(&id);
    assert_eq!(amtool.silences(), Ok(Vec::new()));
    let page = webhook.wait_for_page("a page for the service that is silenced no more", PATIENCE, |page| {
        page.group_labels["service"] == "batch"
    });
    assert_eq!(page.payload().status, "firing");

    webhook.assert_quiet_for(Duration::from_secs(2));
    let ledger = world.finish();
    assert_eq!(ledger.notifications.len(), 2);
    ledger.assert_nothing_decided_twice();
    ledger.assert_all_delivered_once();
    ledger.assert_no_dead_letters();
}

fn silenced_by(url: &str, id: &str) -> Result<(), String> {
    let answer = http::get_with(&format!("{url}/api/v2/alerts"), &[("filter", "service=\"batch\"")])?;
    let alerts: Vec<Value> = answer.expect_status(200)?.json();
    let [alert] = alerts.as_slice() else { return Err(format!("{} alerts", alerts.len())) };
    let status = &alert["status"];
    if status["state"] == "suppressed" && status["silencedBy"] == serde_json::json!([id]) {
        Ok(())
    } else {
        Err(status.to_string())
    }
}

fn alert(service: &str) -> Alert {
    Alert::named("Failing").label("service", service).label("severity", "page")
}

fn plan(webhook: &Webhook) -> String {
    format!(
        "route:
  receiver: pager
  group_by: [service]
  group_wait: 5s
  group_interval: 1s
  repeat_interval: 1h
receivers:
- name: pager
  webhook_configs:
  - url: '{}'
",
        webhook.url(),
    )
}
