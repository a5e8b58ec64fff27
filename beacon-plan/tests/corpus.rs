//! Configurations that are taken, and those that are refused with the messages they get.
//!
//! `configs/valid` is what Alertmanager 0.25 takes too, `configs/newer` what only newer ones or Beacon take, `configs/invalid`
//! what Alertmanager refuses as well, `configs/unsupported` what it takes and Beacon refuses by name. Beside each refused
//! file stands what is said of it, in `.errors`; `BEACON_WRITE_ERRORS=1` writes these files anew, to be read before they
//! are kept.

use std::fs;
use std::path::{Path, PathBuf};

use beacon_plan::receiver::{Body, HttpAuth};
use beacon_plan::{Channel, Kind, Plan, Target};

fn files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(&folder)
        .expect("the folder of configurations is there")
        .map(|entry| entry.expect("it can be listed").path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "yml"))
        .collect();
    files.sort();
    assert!(!files.is_empty(), "{} has no configurations", folder.display());
    files
}

fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn plan(name: &str) -> Plan {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/configs").join(name);
    Plan::parse(&text(&path), name).unwrap_or_else(|e| panic!("{e}"))
}

#[test]
fn valid_configurations_are_taken_without_a_word() {
    for path in files("valid").into_iter().chain(files("newer")) {
        let plan = Plan::parse(&text(&path), "f.yml").unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        let warnings: Vec<String> = plan.warnings().iter().map(ToString::to_string).collect();
        assert!(warnings.is_empty(), "{}: {warnings:?}", path.display());
    }
}

#[test]
fn refused_configurations_say_why_where_and_the_way_out() {
    for path in files("invalid").into_iter().chain(files("unsupported")) {
        let errors = Plan::parse(&text(&path), "f.yml").map(|_| ()).expect_err(&path.display().to_string());
        let said = format!("{errors}\n");
        let expected = path.with_extension("errors");
        if std::env::var_os("BEACON_WRITE_ERRORS").is_some() {
            fs::write(&expected, &said).expect("the folder can be written");
        }
        assert_eq!(said, text(&expected), "{}", path.display());
        assert!(!said.contains("hunter2"), "{} shows a secret", path.display());
    }
}

#[test]
fn a_plan_without_its_secrets_routes_the_same() {
    for path in files("valid").into_iter().chain(files("newer")) {
        let plan = Plan::parse(&text(&path), "f.yml").expect("valid");
        let yaml = plan.redacted_yaml();
        assert!(!yaml.contains("hunter"), "{} shows a secret:\n{yaml}", path.display());
        assert!(!format!("{plan:?}").contains("hunter"), "{} shows a secret in its debug output", path.display());
        let read = Plan::parse_redacted(yaml, "redacted").unwrap_or_else(|e| panic!("{}: {e}\n{yaml}", path.display()));
        assert_eq!(read.redacted_yaml(), yaml, "{}", path.display());
        assert_eq!(read.version(), plan.version());
        let routes = |plan: &Plan| {
            let routes = plan.root().walk();
            routes.iter().map(|r| format!("{} {} {:?}", r.id(), r.continues(), r.settings())).collect::<Vec<_>>()
        };
        assert_eq!(routes(&read), routes(&plan));
        let targets = |plan: &Plan| {
            let all = plan.receivers().iter().flat_map(|receiver| &receiver.integrations);
            all.map(|it| (it.target.to_string(), it.send_resolved, it.max_alerts())).collect::<Vec<_>>()
        };
        assert_eq!(targets(&read), targets(&plan));
    }
}

#[test]
fn a_redacted_plan_is_not_taken_for_a_plan() {
    let yaml = plan("valid/full.yml").redacted_yaml().to_owned();
    let errors = Plan::parse(&yaml, "redacted").expect_err("its secrets are gone");
    assert!(errors.errors.iter().all(|error| error.message.contains("<secret>")), "{errors}");
}

#[test]
fn everything_written_in_the_file_arrives() {
    let plan = plan("valid/full.yml");
    assert_eq!(plan.resolve_timeout().as_secs(), 600);
    let target = |receiver: &str, kind, index| Target { receiver: receiver.into(), kind, index };

    let first = plan.integration(&target("everyone", Kind::Webhook, 0)).expect("defined");
    let Channel::Webhook(webhook) = &first.channel else { panic!("a webhook") };
    assert_eq!(
        (first.send_resolved, webhook.url.expose(), webhook.max_alerts),
        (true, "http://127.0.0.1:8080/hunter2-path", 0)
    );
    assert!(webhook.http.follow_redirects);
    assert!(
        matches!(&webhook.http.auth, Some(HttpAuth::Scheme { scheme, credentials }) if scheme == "Bearer" && credentials.expose() == "hunter2-token")
    );

    let second = plan.integration(&target("everyone", Kind::Webhook, 1)).expect("defined");
    let Channel::Webhook(webhook) = &second.channel else { panic!("a webhook") };
    assert_eq!((second.send_resolved, second.max_alerts(), webhook.http.follow_redirects), (false, 10, false));
    assert!(
        matches!(&webhook.http.auth, Some(HttpAuth::Basic { username, password }) if username == "beacon" && password.expose() == "hunter2-basic")
    );

    let db = plan.receiver("db").expect("defined");
    let kinds: Vec<String> = db.integrations.iter().map(|it| it.target.to_string()).collect();
    assert_eq!(kinds, ["db/webhook[0]", "db/email[0]"]);
    let Channel::Email(mail) = &db.integrations[1].channel else { panic!("a mail") };
    assert_eq!(
        (mail.from.as_str(), mail.smarthost.to_string()),
        ("beacon@example.org", "mail.example.org:587".to_owned())
    );
    assert_eq!((mail.hello.as_str(), mail.auth_password.expose()), ("beacon.example.org", "hunter2-smtp"));
    assert_eq!((mail.require_tls, mail.tls.server_name.as_deref()), (true, None));
    assert_eq!(mail.headers["Reply-To"], "db@example.org");
    assert_eq!(mail.html, Body::Absent);
    assert_eq!(mail.text, Body::Literal("Something is wrong with the databases.\n  See the \"runbook\": now\n".into()));
    assert!(db.integrations[1].send_resolved);

    let Channel::Email(mail) = &plan.receiver("mail").expect("defined").integrations[0].channel else {
        panic!("a mail")
    };
    assert_eq!((mail.smarthost.host.as_str(), mail.smarthost.port), ("::1", 25));
    assert_eq!((mail.require_tls, mail.tls.insecure_skip_verify), (false, true));
    assert_eq!((&mail.html, &mail.text, mail.headers.len()), (&Body::Default, &Body::Absent, 0));
    assert!(!plan.receiver("mail").expect("defined").integrations[0].send_resolved);
}

#[test]
fn what_is_set_to_nothing_is_not_inherited() {
    let plan = plan("newer/tls.yml");
    let integrations = &plan.receiver("ops").expect("defined").integrations;
    let Channel::Webhook(webhook) = &integrations[0].channel else { panic!("a webhook") };
    assert!(webhook.http.follow_redirects, "its own empty http_config has the default");
    let tls = integrations[1..].iter().map(|it| match &it.channel {
        Channel::Email(mail) => (mail.tls.server_name.as_deref(), mail.tls.insecure_skip_verify),
        other => panic!("{other:?}"),
    });
    assert_eq!(tls.collect::<Vec<_>>(), [(Some("mail.internal"), false), (None, false), (None, true)]);
}

#[test]
fn the_builtin_plan_pages_to_the_terminal() {
    let plan = Plan::builtin_terminal();
    let groups = plan.route(&[("alertname".to_owned(), "Down".to_owned())].into());
    assert_eq!(groups.len(), 1);
    assert_eq!(groups[0].group_key, r#"{}:{alertname="Down"}"#);
    let receiver = plan.receiver(&groups[0].route.settings().receiver).expect("defined");
    assert_eq!(receiver.integrations[0].target.to_string(), "terminal/terminal[0]");
    assert!(plan.redacted_yaml().contains("terminal_configs") && !plan.status_yaml().contains("terminal_configs"));
}

#[test]
fn the_version_is_that_of_the_meaning() {
    let base = "route: {receiver: a}\nreceivers: [{name: a, webhook_configs: [{url: 'http://x/1'}]}]\n";
    let version = |yaml: &str| Plan::parse(yaml, "f.yml").expect("valid").version().to_owned();
    assert_eq!(version(base), version(&format!("# a comment\n{}", base.replace("/1", "/2"))));
    assert_eq!(version(base), version(&base.replace("{receiver: a}", "{receiver: a, routes: []}")));
    assert_ne!(version(base), version(&base.replace("{receiver: a}", "{receiver: a, group_wait: 1s}")));
    assert_ne!(version(base), version(&base.replace("'}", "', send_resolved: false}")));
}
