//! The HTML part of a mail.
//!
//! It shows what Alertmanager's `email.default.html` shows, in the same order, with markup of our own: a coloured banner
//! with the number of alerts and the group labels, a button to the alerts, then firing and resolved alerts. No picture, no
//! script, nothing is fetched.
//!
//! Invariant: every text that comes from outside passes [`escape`]; it can be neither markup nor an attribute's end.

use std::{
    collections::BTreeMap,
    fmt::{Arguments, Write},
};

use beacon_proto::v1::{Notification, NotifiedAlert, Status};

use super::{links, pairs, subject};

const FONT: &str = "font-family:Helvetica,Arial,sans-serif;font-size:14px;line-height:1.5";

/// The whole document. Lines end with `\n`. `external_url` has no slash at its end.
pub fn document(notification: &Notification, external_url: &str) -> String {
    let (resolved, firing): (Vec<_>, Vec<_>) =
        notification.alerts.iter().partition(|alert| alert.status() == Status::Resolved);
    let mut out = String::with_capacity(4096);
    head(&mut out, &subject::line(notification));
    banner(&mut out, notification, !firing.is_empty());
    let receiver = notification.target.as_ref().map_or("", |target| &target.receiver);
    if let Some(link) = links::alerts_of(external_url, receiver) {
        button(&mut out, &link);
    }
    section(&mut out, "Firing", &firing);
    if !firing.is_empty() && !resolved.is_empty() {
        out.push_str("<tr><td style=\"padding:0 30px\"><hr></td></tr>\n");
    }
    section(&mut out, "Resolved", &resolved);
    if notification.truncated_alerts > 0 {
        row(&mut out, format_args!("{} more not listed here", notification.truncated_alerts));
    }
    foot(&mut out, external_url);
    out
}

/// `text` for HTML text and for attribute values in double quotes. Control characters other than tab and line ends, which
/// HTML forbids, become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&#34;"),
            '\'' => escaped.push_str("&#39;"),
            '\t' | '\n' => escaped.push(c),
            '\r' => {}
            _ if c.is_control() => escaped.push('\u{fffd}'),
            _ => escaped.push(c),
        }
    }
    escaped
}

fn head(out: &mut String, title: &str) {
    push(
        out,
        format_args!(
            "<!DOCTYPE html>\n<html>\n<head>\n<meta charset=\"UTF-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width\">\n<title>{}</title>\n</head>\n\
             <body style=\"margin:0;padding:20px;background:#f4f4f4;{FONT}\">\n\
             <table width=\"600\" align=\"center\" cellpadding=\"0\" cellspacing=\"0\" \
             style=\"background:#fff;border:1px solid #ddd;{FONT}\">\n",
            escape(title)
        ),
    );
}

fn banner(out: &mut String, notification: &Notification, fires: bool) {
    let colour = if fires { "#c7382a" } else { "#3d8b37" };
    let count = notification.alerts.len();
    let plural = if count == 1 { "" } else { "s" };
    push(
        out,
        format_args!(
            "<tr><td align=\"center\" style=\"padding:20px;background:{colour};color:#fff;font-size:16px\">\
             {count} alert{plural} for"
        ),
    );
    for (name, value) in pairs::sorted(&notification.group_labels) {
        push(out, format_args!(" {}={}", escape(name), escape(value)));
    }
    out.push_str("</td></tr>\n");
}

fn button(out: &mut String, address: &str) {
    row(
        out,
        format_args!(
            "<a href=\"{}\" style=\"display:inline-block;padding:10px 20px;background:#2b6cb0;color:#fff;\
             text-decoration:none;font-weight:bold\">View in Beacon</a>",
            escape(address)
        ),
    );
}

fn section(out: &mut String, title: &str, alerts: &[&NotifiedAlert]) {
    if alerts.is_empty() {
        return;
    }
    row(out, format_args!("<strong>[{}] {title}</strong>", alerts.len()));
    for alert in alerts {
        let mut block = String::new();
        list(&mut block, "Labels", &alert.labels);
        if !alert.annotations.is_empty() {
            list(&mut block, "Annotations", &alert.annotations);
        }
        source(&mut block, &alert.generator_url);
        row(out, format_args!("{block}"));
    }
}

fn list(out: &mut String, title: &str, map: &BTreeMap<String, String>) {
    push(out, format_args!("<strong>{title}</strong><br>\n"));
    for (name, value) in pairs::sorted(map) {
        push(out, format_args!("{} = {}<br>\n", escape(name), escape(value)));
    }
}

/// A link, or the bare text where a link could run something.
fn source(out: &mut String, address: &str) {
    if links::may_be_clicked(address) {
        push(out, format_args!("<a href=\"{}\">Source</a>", escape(address)));
    } else if !address.is_empty() {
        push(out, format_args!("Source: {}", escape(address)));
    }
}

fn foot(out: &mut String, external_url: &str) {
    out.push_str("</table>\n<p align=\"center\" style=\"font-size:12px;color:#888\">");
    if external_url.is_empty() {
        out.push_str("Sent by Beacon");
    } else {
        push(out, format_args!("<a href=\"{}\" style=\"color:#888\">Sent by Beacon</a>", escape(external_url)));
    }
    out.push_str("</p>\n</body>\n</html>\n");
}

fn row(out: &mut String, content: Arguments<'_>) {
    push(out, format_args!("<tr><td style=\"padding:10px 30px\">{content}</td></tr>\n"));
}

fn push(out: &mut String, text: Arguments<'_>) {
    out.write_fmt(text).expect("writing to a String succeeds");
}

#[cfg(test)]
mod tests;
