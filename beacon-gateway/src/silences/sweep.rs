//! Takes silences away whose time to be looked at is over.

use std::sync::Arc;
use std::time::Duration;

use beacon_core::log::Record;
use tokio::sync::watch;

use super::row::SilenceRow;
use crate::app::App;
use crate::time;

const EVERY: Duration = Duration::from_secs(15 * 60);
/// Until a round could be done: the log is being connected to, or away.
const FIRST: Duration = Duration::from_secs(1);

/// Whether a silence ended longer ago than it is kept.
fn is_over(row: &SilenceRow, now_ms: i64, retention: Duration) -> bool {
    let kept_ms = i64::try_from(retention.as_millis()).unwrap_or(i64::MAX);
    row.silence.ends_at_ms.saturating_add(kept_ms) <= now_ms
}

/// Writes tombstones for such silences every quarter of an hour, until the gateway closes.
///
/// Every gateway on the same topics does so, and no harm is done: an expired silence never changes again.
pub async fn sweep(app: Arc<App>, mut closed: watch::Receiver<bool>) {
    let mut pause = FIRST;
    loop {
        tokio::select! {
            _ = closed.wait_for(|closed| *closed) => return,
            () = tokio::time::sleep(pause) => {}
        }
        pause = if sweep_once(&app).await { EVERY } else { FIRST };
    }
}

/// One round; says whether it could be done. What does not succeed is done by the next.
async fn sweep_once(app: &App) -> bool {
    let (Some(pictures), Some(writer)) = (app.link.pictures_now(), app.link.writer_now()) else { return false };
    if !pictures.silences.is_caught_up() {
        return false;
    }
    let now_ms = time::now_ms();
    let prefix = beacon_proto::key::silence(&app.config.tenant, "");
    let tombstones: Vec<Record> = pictures.silences.read(|table| {
        let over = table.prefix(&prefix).filter(|(_, row)| is_over(row, now_ms, app.config.silence_retention));
        over.map(|(key, _)| Record {
            value: None,
            ..Record::new(Arc::clone(&app.names.silences), key.as_bytes(), Vec::new())
        })
        .collect()
    });
    if tombstones.is_empty() {
        return true;
    }
    let count = tombstones.len();
    match writer.append(tombstones).await {
        Ok(_) => {
            tracing::info!(count, "silences that expired long ago were taken away");
            true
        }
        Err(error) => {
            tracing::warn!(%error, "expired silences could not be taken away yet");
            false
        }
    }
}

#[cfg(test)]
mod tests {
    use beacon_proto::v1::Silence;

    use super::*;

    #[test]
    fn an_expired_silence_is_kept_for_its_time() {
        let row = SilenceRow { silence: Silence { ends_at_ms: 1_000, ..Silence::default() }, matchers: Vec::new() };
        assert!(!is_over(&row, 2_999, Duration::from_secs(2)));
        assert!(is_over(&row, 3_000, Duration::from_secs(2)));
        assert!(!is_over(&row, i64::MAX - 1, Duration::MAX));
    }
}
