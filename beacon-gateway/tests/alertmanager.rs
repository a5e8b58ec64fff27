//! The same requests to Debian's Alertmanager and to the gateway: status and body must agree.
//!
//! Left out on purpose, each because Beacon follows a newer Alertmanager or refuses to be wrong with the old one:
//! label names beyond ASCII (taken since 0.27), `mutedBy` (since 0.28), 404 for an unknown silence (500 before 0.28),
//! the words of parsers and of regular expressions, unsupported receivers and routes.

mod rig;

use rig::oracle::{Alertmanager, INSTALL};
use rig::{PLAN, PlainWorker, Rig, TempLog, answer, config};
use serde_json::{Value, json};

struct Pair {
    alertmanager: Alertmanager,
    rig: Rig,
    _worker: PlainWorker,
    _temp: TempLog,
}

impl Pair {
    async fn start() -> Self {
        let alertmanager = Alertmanager::start(PLAN).await;
        let temp = TempLog::new();
        let rig = Rig::start(config(), temp.log.clone()).await;
        rig.ready().await;
        let worker = PlainWorker::start(temp.log.clone());
        Self { alertmanager, rig, _worker: worker, _temp: temp }
    }

    /// Sends one request to both; the answers in a form that leaves out what must differ.
    async fn both(&self, method: &str, path: &str, content_type: Option<&str>, body: &str) -> [(u16, Value); 2] {
        let mut answers = Vec::new();
        for base in [&self.alertmanager.base, &self.rig.base] {
            let method = reqwest::Method::from_bytes(method.as_bytes()).expect("a method");
            let mut request = self.rig.http.request(method, format!("{base}{path}")).body(body.to_owned());
            if let Some(content_type) = content_type {
                request = request.header("content-type", content_type);
            }
            let (status, body) = answer(request).await;
            let value = serde_json::from_str(&body).unwrap_or(Value::String(body));
            answers.push((status, normalised(value)));
        }
        answers.try_into().expect("two")
    }

    async fn agree(&self, method: &str, path: &str, content_type: Option<&str>, body: &str) -> (u16, Value) {
        let [alertmanager, gateway] = self.both(method, path, content_type, body).await;
        assert_eq!(gateway, alertmanager, "left the gateway, right Alertmanager: {method} {path} {body}");
        gateway
    }

    async fn post_agrees(&self, path: &str, body: &str) -> u16 {
        self.agree("POST", path, Some("application/json"), body).await.0
    }

    async fn get_agrees(&self, path: &str) -> Value {
        let (status, value) = self.agree("GET", path, None, "").await;
        assert_eq!(status, 200, "{path}");
        value
    }

    /// For answers whose words come from a parser: the same status, the same shape, the same beginning.
    async fn agree_up_to_parsers_words(&self, path: &str, body: &str) {
        let [alertmanager, gateway] = self.both("POST", path, Some("application/json"), body).await;
        assert_eq!(gateway.0, alertmanager.0, "{path} {body}");
        assert_eq!(gateway.1["code"], alertmanager.1["code"], "{path} {body}");
        let before = |value: &Value| {
            let message = value["message"].as_str().expect("a message");
            message.split_once(" failed, because ").expect("a reason").0.to_owned()
        };
        assert_eq!(before(&gateway.1), before(&alertmanager.1), "{path} {body}");
    }
}

/// Times become `T` where the clock makes them, ids become `ID`, and what Alertmanager 0.25 does not have is left out.
fn normalised(value: Value) -> Value {
    match value {
        Value::String(text) if is_recent_time(&text) => json!("T"),
        Value::String(text) if uuid_like(&text) => json!("ID"),
        Value::Array(items) => items.into_iter().map(normalised).collect(),
        Value::Object(fields) => {
            let fields = fields.into_iter().filter(|(name, _)| name != "mutedBy");
            fields.map(|(name, value)| (name, normalised(value))).collect()
        }
        other => other,
    }
}

/// A time of the machine's clock. Those of the requests below lie before 2026 or after 2080.
fn is_recent_time(text: &str) -> bool {
    let year: Option<u32> = text.get(..4).and_then(|year| year.parse().ok());
    text.len() == 24 && text.ends_with('Z') && year.is_some_and(|year| (2026..2080).contains(&year))
}

fn uuid_like(text: &str) -> bool {
    text.len() == 36 && text.bytes().filter(|byte| *byte == b'-').count() == 4
}

#[tokio::test(flavor = "multi_thread")]
async fn posted_alerts_are_answered_alike() {
    let pair = Pair::start().await;
    for (body, expected) in [
        (r#"[{"labels":{"alertname":"A","team":"x"},"annotations":{"s":"hé"},"generatorURL":"http://x/y?z"}]"#, 200),
        (r#"[{"labels":{}}]"#, 400),
        (r#"[{}]"#, 422),
        (r#"[{"labels":null}]"#, 422),
        (r#"[{"labels":{"a":""}}]"#, 400),
        (r#"[{"labels":{"":"4"}}]"#, 400),
        (r#"[{"labels":{"a":"1"},"annotations":{"":"1"}}]"#, 400),
        (
            r#"[{"labels":{}},{"labels":{"ok":"1"}},{"labels":{"b":"1"},"startsAt":"2090-01-01T00:00:00Z","endsAt":"2020-01-01T00:00:00Z"}]"#,
            400,
        ),
        (r#"[{"labels":{"a":"1"},"startsAt":""}]"#, 200),
        (r#"[{"labels":{"a":"2"},"startsAt":null,"endsAt":"0001-01-01T00:00:00.000Z"}]"#, 200),
        (r#"[{"labels":{"a":"1"},"generatorURL":"not a url"}]"#, 422),
        (r#"[{"labels":{"a":"8"},"generatorURL":""}]"#, 200),
        ("null", 200),
        ("", 422),
        ("[]", 200),
        (r#"[{"labels":{"a":"9"},"foo":1}]"#, 200),
        (r#"[{"labels":{"a":"1","a":"10"}}]"#, 200),
        (r#"[{"labels":{"a":"3"},"endsAt":"2020-01-01T00:00:00Z"}]"#, 200),
        (r#"[{"labels":{"a":"5"},"startsAt":"2020-01-01T00:00:00"}]"#, 200),
        (r#"[{"labels":{"a":"6"},"startsAt":"2020-01-01T00:00:00.123456789Z"}]"#, 200),
        (r#"[{"labels":{"a":"7"},"startsAt":"2090-01-01T00:00:00Z"}]"#, 400),
    ] {
        assert_eq!(pair.post_agrees("/api/v2/alerts", body).await, expected, "{body}");
    }
    for body in ["{", "{}", r#"[{"labels":{"a":1}}]"#, r#"[{"labels":{"a":"1"},"startsAt":"foo"}]"#] {
        pair.agree_up_to_parsers_words("/api/v2/alerts", body).await;
    }
    pair.get_agrees("/api/v2/alerts").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn listings_and_their_filters_agree() {
    let pair = Pair::start().await;
    let body = r#"[{"labels":{"alertname":"A","team":"x","instance":"i2","job":"j"},"annotations":{"s":"<&>"}},
        {"labels":{"alertname":"B","team":"y","instance":"i1"},"generatorURL":"http://x/y?z"},
        {"labels":{"alertname":"A","team":"y"}},{"labels":{"alertname":"A"}},{"labels":{"alertname":"C","job":"k"}},
        {"labels":{"alertname":"Gone"},"endsAt":"2020-01-01T00:00:00Z"}]"#;
    assert_eq!(pair.post_agrees("/api/v2/alerts", body).await, 200);
    let quiet = r#"{"matchers":[{"name":"team","value":"y","isRegex":false}],"startsAt":"2020-01-01T00:00:00Z",
        "endsAt":"2090-01-01T00:00:00Z","createdBy":"me","comment":"c"}"#;
    assert_eq!(pair.post_agrees("/api/v2/silences", quiet).await, 200);
    // Alertmanager groups alerts, and marks them, some time after it has answered.
    rig::eventually("Alertmanager has grouped", || async {
        let [(_, groups), _] = pair.both("GET", "/api/v2/alerts/groups", None, "").await;
        groups.as_array().is_some_and(|groups| groups.len() >= 6)
    })
    .await;
    for query in [
        "",
        "?filter=team%3Dx",
        "?filter=team%3D%22x%22&filter=alertname%3DA",
        "?filter=team!%3Dx",
        "?filter=team%3D~%22x%7Cy%22",
        "?filter=team!~%22.%2B%22",
        "?filter=team%3D%22%22",
        "?filter=team!%3D%22%22",
        "?receiver=team-.*",
        "?receiver=team",
        "?receiver=",
        "?active=false",
        "?active=foo",
        "?active=",
        "?silenced=false",
        "?silenced=false&active=0",
        "?inhibited=false",
        "?unprocessed=false",
        "?active=false&active=true",
    ] {
        pair.get_agrees(&format!("/api/v2/alerts{query}")).await;
        pair.get_agrees(&format!("/api/v2/alerts/groups{query}")).await;
    }
    for listing in ["alerts", "alerts/groups", "silences"] {
        assert_eq!(pair.agree("GET", &format!("/api/v2/{listing}?filter=team"), None, "").await.0, 400);
    }
    for query in ["?filter=team%3D~%22(%22", "?receiver=(", "?filter=", "?filter=%7Bteam%3D%22x%22%7D"] {
        let [alertmanager, gateway] = pair.both("GET", &format!("/api/v2/alerts{query}"), None, "").await;
        assert_eq!((alertmanager.0, gateway.0), (400, 400));
        assert!(gateway.1.is_string(), "{gateway:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silences_are_answered_alike() {
    let pair = Pair::start().await;
    let silence = |changes: Value| {
        let mut silence = json!({
            "matchers": [{"name": "team", "value": "x", "isRegex": false}],
            "startsAt": "2020-01-01T00:00:00Z", "endsAt": "2090-01-01T00:00:00Z", "createdBy": "me", "comment": "c",
        });
        for (name, value) in changes.as_object().expect("an object") {
            silence[name] = value.clone();
        }
        silence.to_string()
    };
    for (changes, expected) in [
        (json!({}), 200),
        (
            json!({"startsAt": "2085-01-01T00:00:00Z", "comment": "later",
            "matchers": [{"name": "team", "value": "z|y", "isRegex": true, "isEqual": false}]}),
            200,
        ),
        (json!({"createdBy": "", "comment": "", "endsAt": "2089-01-01T00:00:00Z"}), 200),
        (json!({"matchers": []}), 422),
        (json!({"matchers": null}), 422),
        (json!({"endsAt": "2021-01-01T00:00:00Z"}), 400),
        (json!({"endsAt": "2010-01-01T00:00:00Z"}), 400),
        (json!({"endsAt": "2020-01-01T00:00:00Z"}), 400),
        (json!({"comment": null}), 422),
        (json!({"createdBy": null, "comment": null}), 422),
        (json!({"startsAt": null}), 422),
        (json!({"startsAt": "0001-01-01T00:00:00Z", "endsAt": "2088-01-01T00:00:00Z"}), 200),
        (json!({"matchers": [{"name": "team", "value": "x"}]}), 422),
        (json!({"matchers": [{"name": "a", "value": "x", "isRegex": false}, {"isRegex": false}]}), 422),
        (json!({"id": "11111111-1111-1111-1111-111111111111"}), 404),
        (json!({"id": "foo"}), 404),
    ] {
        let body = silence(changes);
        assert_eq!(pair.post_agrees("/api/v2/silences", &body).await, expected, "{body}");
    }
    assert_eq!(pair.post_agrees("/api/v2/silences", "").await, 422);
    pair.agree_up_to_parsers_words("/api/v2/silences", "{").await;
    // Refused by both; the prefix of the words changed after 0.25.
    for changes in [
        json!({"matchers": [{"name": "team", "value": "", "isRegex": false}]}),
        json!({"matchers": [{"name": "", "value": "q", "isRegex": false}]}),
        json!({"matchers": [{"name": "team", "value": "(", "isRegex": true}]}),
    ] {
        let [alertmanager, gateway] =
            pair.both("POST", "/api/v2/silences", Some("application/json"), &silence(changes.clone())).await;
        assert_eq!((alertmanager.0, gateway.0), (400, 400), "{changes}");
        assert!(gateway.1.as_str().is_some_and(|text| text.starts_with("invalid silence: ")), "{gateway:?}");
    }
    pair.get_agrees("/api/v2/silences").await;
    pair.get_agrees("/api/v2/silences?filter=team%3Dx").await;
    for path in ["/api/v2/silence/abc", "/api/v2/silence/11111111-1111-1111-1111-111111111111"] {
        pair.agree("GET", path, None, "").await;
    }
    assert_eq!(pair.agree("DELETE", "/api/v2/silence/abc", None, "").await.0, 422);
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_around_the_api_agrees() {
    let pair = Pair::start().await;
    pair.get_agrees("/api/v2/receivers").await;
    for path in ["/-/healthy", "/-/ready"] {
        pair.get_agrees(path).await;
    }
    let alertmanager = pair.both("GET", "/api/v2/status", None, "").await;
    let fields = |value: &Value| value.as_object().expect("an object").keys().cloned().collect::<Vec<_>>();
    for part in ["", "/cluster", "/config", "/versionInfo"] {
        let [theirs, ours] = alertmanager.each_ref().map(|(_, status)| fields(status.pointer(part).expect("there")));
        assert_eq!(ours, theirs, "{part}");
    }
    for (method, path, content_type) in [
        ("GET", "/api/v2/foo", None),
        ("GET", "/foo", None),
        ("POST", "/api/v2/alerts", Some("text/plain")),
        ("POST", "/api/v2/alerts", Some("application/x-www-form-urlencoded")),
        ("POST", "/api/v2/alerts", Some("application/json; charset=utf-8")),
        ("POST", "/api/v2/status", Some("application/json")),
        ("POST", "/-/reload", None),
    ] {
        pair.agree(method, path, content_type, "[]").await;
    }
    // Which of the allowed methods is named first changes from run to run of Alertmanager.
    let [alertmanager, gateway] = pair.both("PUT", "/api/v2/alerts", None, "").await;
    assert_eq!((alertmanager.0, gateway.0), (405, 405));
}

#[tokio::test(flavor = "multi_thread")]
async fn amtool_works() {
    let temp = TempLog::new();
    let rig = Rig::start(config(), temp.log.clone()).await;
    rig.ready().await;
    let _worker = PlainWorker::start(temp.log.clone());
    let amtool = |args: &[&str]| {
        let mut command = tokio::process::Command::new("amtool");
        command.arg(format!("--alertmanager.url={}", rig.base)).args(args);
        let line = args.join(" ");
        async move {
            let output =
                command.output().await.unwrap_or_else(|error| panic!("amtool does not start ({error}); {INSTALL}"));
            let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
            assert!(output.status.success(), "{line}: {}{}", text(&output.stdout), text(&output.stderr));
            text(&output.stdout)
        }
    };
    amtool(&["alert", "add", "alertname=Down", "team=x", "--annotation=summary=it is"]).await;
    amtool(&["alert", "add", "alertname=Up", "team=y"]).await;
    let alerts = amtool(&["alert", "query", "team=x", "-o", "extended"]).await;
    assert!(alerts.contains("Down") && alerts.contains("it is") && !alerts.contains("Up"), "{alerts}");

    let id = amtool(&["silence", "add", "team=x", "--comment=c", "--author=me", "--duration=1h"]).await;
    let id = id.trim();
    let silences = amtool(&["silence", "query"]).await;
    assert!(silences.contains(id) && silences.contains("team=\"x\""), "{silences}");
    let shown = amtool(&["alert", "query"]).await;
    assert!(!shown.contains("Down") && shown.contains("Up"), "what is silenced is not shown: {shown}");
    let shown = amtool(&["alert", "query", "--silenced"]).await;
    assert!(shown.contains("Down"), "{shown}");
    let updated = amtool(&["silence", "update", id, "--comment=longer", "--duration=2h"]).await;
    assert!(updated.contains("longer"), "{updated}");
    amtool(&["silence", "expire", id]).await;
    let left = amtool(&["silence", "query", "-q"]).await;
    assert_eq!(left.trim(), "", "{left}");
    assert!(amtool(&["silence", "query", "--expired"]).await.contains("longer"));

    let config = amtool(&["config", "show"]).await;
    assert!(config.contains("team-xy") && !config.contains("very-secret"), "{config}");
    let routes = amtool(&["config", "routes", "test", "team=x"]).await;
    assert_eq!(routes.trim(), "team-x,team-xy");
    amtool(&["cluster", "show"]).await;
}
