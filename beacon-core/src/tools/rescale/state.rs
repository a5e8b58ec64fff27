//! Writing divided state as changelogs.

use std::sync::Arc;

use super::super::ToolError;
use crate::log::{Appender, Log, LogError, Record};
use crate::operator::divide_marks;
use crate::runtime::{AppConfig, bring_up};
use crate::state::division::Division;
use crate::state::{Change, Store};
use crate::task::{Task, TaskError, encode_chunks};
use crate::topology::Topology;

/// How much is gathered before it is written.
const BATCH_BYTES: usize = 1 << 20;

/// Brings the state of all old tasks up to the ends of their changelogs, divides it, and writes it to `target`, which has
/// the new partition count. Holds all old tasks open at once; in memory is only what their stores keep there.
pub(super) fn divide(
    log: &Arc<dyn Log>,
    topology: &Topology,
    config: &AppConfig,
    division: Division,
    target: &str,
) -> Result<(), ToolError> {
    let application = topology.application();
    let of_task = |task, source: TaskError| ToolError::Task { application: application.to_owned(), task, source };
    let mut old: Vec<Task> = Vec::new();
    for number in 0..division.from() {
        let task = bring_up(log, topology, config, division.from(), number);
        old.push(task.map_err(|source| of_task(number, source))?);
    }
    let stores =
        (0..).zip(&mut old).map(|(number, task)| task.store().map_err(|source| of_task(number, source.into())));
    let stores: Vec<&dyn Store> = stores.collect::<Result<_, _>>()?;
    let failed = |source| ToolError::Division { application: application.to_owned(), source };
    division.check(&stores).map_err(failed)?;
    let appender = log.appender()?;
    for number in 0..division.to() {
        let mut writer =
            Writer { appender: appender.as_ref(), topic: target.into(), number, entries: Vec::new(), bytes: 0 };
        let mut result = Ok(());
        division
            .state_of(number, &stores, divide_marks, &mut |key, value| {
                result = writer.put(key, value);
                result.is_ok()
            })
            .map_err(failed)?;
        result?;
        writer.flush()?;
    }
    Ok(())
}

struct Writer<'a> {
    appender: &'a dyn Appender,
    topic: Arc<str>,
    number: u32,
    entries: Vec<(Vec<u8>, Vec<u8>)>,
    bytes: usize,
}

impl Writer<'_> {
    fn put(&mut self, key: &[u8], value: &[u8]) -> Result<(), LogError> {
        self.bytes += key.len() + value.len();
        self.entries.push((key.to_vec(), value.to_vec()));
        if self.bytes >= BATCH_BYTES { self.flush() } else { Ok(()) }
    }

    fn flush(&mut self) -> Result<(), LogError> {
        let mut records = Vec::new();
        encode_chunks::<LogError>(self.entries.iter().map(|(key, value)| Change::Put(key, value)), |chunk| {
            records.push(Record {
                topic: Arc::clone(&self.topic),
                partition: Some(self.number),
                key: None,
                value: Some(chunk),
                headers: Vec::new(),
                timestamp_ms: None,
            });
            Ok(())
        })?;
        self.entries.clear();
        self.bytes = 0;
        if !records.is_empty() {
            self.appender.append_blocking(records)?;
        }
        Ok(())
    }
}
