//! `receivers`.

use super::{At, Global, email, unsupported, webhook};
use crate::receiver::{Channel, Integration, Receiver, Target};

/// All receivers that could be read, and all names that were: a mistake in a receiver is no reason to call it undefined
/// where a route names it.
#[derive(Default)]
pub(super) struct Receivers {
    pub receivers: Vec<Receiver>,
    pub names: Vec<String>,
}

pub(super) fn read_all(at: &At<'_>, global: &Global) -> Receivers {
    let mut all = Receivers::default();
    for at in at.list().unwrap_or_default() {
        if let Some(receiver) = read(&at, global, &mut all.names) {
            all.receivers.push(receiver);
        }
    }
    all
}

fn read(at: &At<'_>, global: &Global, names: &mut Vec<String>) -> Option<Receiver> {
    let fields = at.fields()?;
    unsupported::refuse(&fields, unsupported::RECEIVER);
    let name = fields.text("name");
    match &name {
        None => at.missing("a receiver needs a `name`"),
        Some(name) if names.contains(name) => {
            at.invalid(format!("there is a receiver {name:?} already; names must be unique, so rename one"));
        }
        Some(name) => names.push(name.clone()),
    }
    let name = name.unwrap_or_default();
    let mut integrations = Vec::new();
    let mut add = |channels: Vec<(Channel, bool)>| {
        for (index, (channel, send_resolved)) in (0u32..).zip(channels) {
            let target = Target { receiver: name.clone(), kind: channel.kind(), index };
            integrations.push(Integration { target, send_resolved, channel });
        }
    };
    let each = |key: &'static str| fields.get(key).and_then(|at| at.list()).unwrap_or_default();
    let webhooks = each("webhook_configs");
    add(webhooks
        .iter()
        .filter_map(|at| webhook::read(at, global))
        .map(|(it, sr)| (Channel::Webhook(it), sr))
        .collect());
    let mails = each("email_configs");
    add(mails
        .iter()
        .filter_map(|at| email::read(at, global))
        .map(|(it, sr)| (Channel::Email(Box::new(it)), sr))
        .collect());
    add(each("terminal_configs").iter().filter_map(terminal).map(|sr| (Channel::Terminal, sr)).collect());
    fields.finish();
    Some(Receiver { name, integrations })
}

/// Beacon's own: whether it wants resolved alerts is all there is to say.
fn terminal(at: &At<'_>) -> Option<bool> {
    let fields = at.fields()?;
    let send_resolved = fields.boolean("send_resolved", true);
    fields.finish();
    Some(send_resolved)
}
