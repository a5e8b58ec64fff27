//! `beacon check`: what is wrong with a plan.

use std::path::PathBuf;

use anyhow::{Context, bail};
use beacon_notifier::Dispatcher;
use beacon_notifier::channel::terminal::Terminal;
use beacon_plan::Plan;

/// Flags of `beacon check`.
#[derive(Debug, clap::Args)]
pub struct CheckArguments {
    /// An alertmanager.yml.
    #[arg(value_name = "FILE", required = true)]
    files: Vec<PathBuf>,
    /// One JSON object a file.
    #[arg(long)]
    json: bool,
}

/// Checks each file; an error when any is bad.
pub fn run(arguments: &CheckArguments) -> anyhow::Result<()> {
    let mut bad = 0;
    for path in &arguments.files {
        let name = path.display().to_string();
        let text = std::fs::read_to_string(path).with_context(|| name.clone())?;
        let plan = Plan::parse(&text, &name);
        // What a channel refuses shows only when it is built.
        let channels = match &plan {
            Ok(plan) => {
                Dispatcher::new(plan.receivers(), "", Terminal::stdout()).map(drop).map_err(|error| error.to_string())
            }
            Err(_) => Ok(()),
        };
        if arguments.json {
            println!("{}", as_json(&name, &plan, channels.as_ref().err()));
        } else if let Err(error) = &channels {
            println!("{name}: {error}");
        } else {
            say(&name, &plan);
        }
        bad += usize::from(plan.is_err() || channels.is_err());
    }
    if bad > 0 {
        bail!("{bad} of {} files cannot be used", arguments.files.len());
    }
    Ok(())
}

fn say(name: &str, plan: &Result<Plan, beacon_plan::PlanErrors>) {
    match plan {
        Ok(plan) => {
            println!("{name}: good");
            println!("  {} routes, {} receivers", plan.root().walk().len(), plan.receivers().len());
            for receiver in plan.receivers() {
                let ways: Vec<_> =
                    receiver.integrations.iter().map(|integration| integration.target.kind.as_str()).collect();
                let ways = if ways.is_empty() { "tells nobody".to_owned() } else { ways.join(", ") };
                println!("  - {}: {ways}", receiver.name);
            }
            for warning in plan.warnings() {
                println!("  warning: {warning}");
            }
        }
        Err(errors) => println!("{errors}"),
    }
}

fn as_json(name: &str, plan: &Result<Plan, beacon_plan::PlanErrors>, channel: Option<&String>) -> serde_json::Value {
    match plan {
        Ok(_) if channel.is_some() => serde_json::json!({
            "file": name,
            "good": false,
            "errors": [{"message": channel}],
        }),
        Ok(plan) => serde_json::json!({
            "file": name,
            "good": true,
            "version": plan.version(),
            "receivers": plan.receivers().iter().map(|receiver| &receiver.name).collect::<Vec<_>>(),
            "warnings": plan.warnings().iter().map(ToString::to_string).collect::<Vec<_>>(),
        }),
        Err(errors) => serde_json::json!({
            "file": name,
            "good": false,
            "errors": errors.errors.iter().map(|error| serde_json::json!({
                "line": error.position.line,
                "column": error.position.column,
                "path": error.path,
                "message": error.message,
            })).collect::<Vec<_>>(),
        }),
    }
}
