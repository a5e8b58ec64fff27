//! Entries of the ledger, and the letters of what was given up.

use beacon_core::codec::{Codec, CodecError};
use beacon_core::topology::Outbound;
use beacon_proto::key;
use beacon_proto::v1::internal::{Send, Sent};
use beacon_proto::v1::{Delivery, Notification, Outcome};

/// An entry about a notification.
pub(super) fn entry(notification: &Notification, outcome: Outcome, attempt: u32, at_ms: i64, detail: &str) -> Delivery {
    Delivery {
        notification_id: notification.id.clone(),
        tenant: notification.tenant.clone(),
        group_key: notification.group_key.clone(),
        target: notification.target.clone(),
        outcome: outcome.into(),
        attempt,
        at_ms,
        detail: detail.to_owned(),
        next_attempt_at_ms: 0,
    }
}

/// The dead letter of a notification that was given up.
pub(super) fn dead_letter(notification: &Notification, reason: &str) -> Outbound {
    let target = notification.target.clone().unwrap_or_default();
    Outbound {
        key: key::group(&notification.tenant, &notification.group_key).into_bytes(),
        value: Some(notification.to_bytes()),
        headers: vec![
            ("beacon.error".to_owned(), reason.as_bytes().to_vec()),
            (
                "beacon.source".to_owned(),
                format!("delivery to {}/{}[{}]", target.receiver, target.integration, target.index).into_bytes(),
            ),
        ],
    }
}

/// Names an attempt: a notification's attempts are different calls.
pub(super) fn attempt_id(send: &Send) -> Vec<u8> {
    let id = send.notification.as_ref().map_or("", |notification| notification.id.as_str());
    format!("{id}#{}", send.attempt).into_bytes()
}

/// The answer to a request that cannot be read.
pub(super) fn unreadable(error: &CodecError) -> Sent {
    Sent { outcome: Outcome::Dead.into(), detail: error.to_string(), ..Sent::default() }
}
