//! RocksDB as the embedded log uses it: opened strictly, written in whole batches, read in chunks.
//!
//! The write-ahead log is what makes a commit durable, so a damaged one must be told apart from one that a crash cut
//! off: recovery tolerates an incomplete record at the very end, which was never acknowledged, and refuses anything
//! else. RocksDB's default would silently drop everything after the first bad byte. What cannot be told apart: damage
//! that makes the last record before a crash look cut off. A log closed in order has nothing there to be damaged.

use std::path::Path;
use std::sync::{Arc, RwLock};

use rocksdb::{
    BlockBasedOptions, Cache, DB, DBCompressionType, DBRawIterator, DBRecoveryMode, ReadOptions, WriteBatch,
    WriteOptions,
};

use super::chunk::Chunk;
use super::directory::Directory;
use super::keys::{self, PartitionEntry, PartitionId, TopicEntry};
use super::options::EmbeddedOptions;
use super::sync::{read, write};
use super::{errors, topic::Partition};
use crate::log::{LogError, LogErrorKind, Offset, OffsetRange};

/// How much one read returns at most, a chunk more or less.
#[derive(Clone, Copy, Debug)]
pub(super) struct ReadLimit {
    pub(super) bytes: usize,
    pub(super) records: usize,
}

impl ReadLimit {
    /// Counts a chunk; says whether that was enough.
    pub(super) fn take(&mut self, chunk: &Chunk) -> bool {
        self.bytes = self.bytes.saturating_sub(chunk.bytes().len());
        self.records = self.records.saturating_sub(chunk.count() as usize);
        self.is_used_up()
    }

    pub(super) fn is_used_up(&self) -> bool {
        self.bytes == 0 || self.records == 0
    }
}

/// The open database in its directory.
pub(super) struct Store {
    options: EmbeddedOptions,
    cache: Cache,
    /// `None` only after it failed to open again.
    db: RwLock<Option<DB>>,
    /// Set while nobody knows whether the last write got to the disk.
    doubt: RwLock<Option<(LogErrorKind, String)>>,
    id: Option<u64>,
    /// The last field: dropped, and with it free for others, when the database is closed.
    directory: Directory,
}

impl Store {
    /// Opens the database, making it if the directory is new.
    pub(super) fn open(mut directory: Directory, options: EmbeddedOptions) -> Result<Self, LogError> {
        let cache = Cache::new_lru_cache(options.block_cache_bytes);
        let db = open_database(&directory, &options, &cache)?;
        if !directory.is_formatted() {
            let unused = db
                .get_pinned(keys::LAST_WRITE)
                .map_err(|error| errors::storage(directory.path(), "reading", error))?
                .is_none();
            if !unused {
                let file = directory.path().join("FORMAT");
                return Err(LogError::new(
                    LogErrorKind::Damaged,
                    format!("{} is missing, but there are records beside it; restore the file", file.display()),
                ));
            }
            put_id(&db, &directory)?;
            directory.format()?;
        }
        let mut store =
            Self { options, cache, db: RwLock::new(Some(db)), doubt: RwLock::default(), id: None, directory };
        store.id = store.number(&keys::LOG_ID, "the id of the log")?;
        Ok(store)
    }

    /// What tells this log from an earlier one in the same directory; `None`: it was made before logs had ids.
    pub(super) fn id(&self) -> Option<u64> {
        self.id
    }

    /// Closes the database and opens it again: the only way on after a failed write. Returns the number of the last
    /// write that got to the disk.
    pub(super) fn reopen(&self) -> Result<u64, LogError> {
        let mut db = write(&self.db);
        *db = None;
        *db = Some(open_database(&self.directory, &self.options, &self.cache)?);
        drop(db);
        self.last_write()
    }

    pub(super) fn path(&self) -> &Path {
        self.directory.path()
    }

    pub(super) fn options(&self) -> &EmbeddedOptions {
        &self.options
    }

    /// Refuses to begin a write of `bytes` when the device is nearly full, before anything is half-written.
    pub(super) fn check_space(&self, bytes: usize) -> Result<(), LogError> {
        let free = self.directory.free_bytes()?;
        let needed = self.options.reserve_bytes.saturating_add(bytes as u64);
        if free >= needed {
            return Ok(());
        }
        Err(LogError::new(
            LogErrorKind::Full,
            format!(
                "the device of {} has {free} bytes left and the embedded log keeps {} in reserve; nothing was \
                 written; free space, trim topics or shorten their retention, and it goes on by itself",
                self.path().display(),
                self.options.reserve_bytes
            ),
        ))
    }

    /// Writes the batch as one; it is on the disk when this returns.
    pub(super) fn write(&self, batch: WriteBatch) -> Result<(), LogError> {
        let mut options = WriteOptions::default();
        options.set_sync(true);
        self.with(|db| db.write_opt(batch, &options).map_err(|error| self.error("writing", error)))
    }

    /// Whether a flush or compaction of RocksDB has failed since the database was opened: then a write may be refused
    /// for what is past, such as a disk that was full for a while.
    pub(super) fn has_failed_in_background(&self) -> bool {
        let errors = self.with(|db| {
            db.property_int_value("rocksdb.background-errors").map_err(|error| self.error("asking for errors", error))
        });
        !matches!(errors, Ok(None | Some(0)))
    }

    /// The number of the last write.
    pub(super) fn last_write(&self) -> Result<u64, LogError> {
        self.number(&keys::LAST_WRITE, "the number of the last write").map(Option::unwrap_or_default)
    }

    /// Notes that the fate of the last write is unknown, or known again.
    pub(super) fn set_doubt(&self, doubt: Option<(LogErrorKind, String)>) {
        *write(&self.doubt) = doubt;
    }

    /// Whether the fate of the last write is unknown.
    pub(super) fn is_in_doubt(&self) -> bool {
        read(&self.doubt).is_some()
    }

    /// A committed offset of a group. Fails while the fate of the last write is unknown: an offset read now could turn
    /// out to be an old one, and whoever started there would do finished work again.
    pub(super) fn group_offset(&self, group: &str, id: PartitionId) -> Result<Option<Offset>, LogError> {
        if let Some((kind, message)) = &*read(&self.doubt) {
            return Err(LogError::new(*kind, message.clone()));
        }
        self.number(&keys::group_offset(group, id), "a committed offset")
    }

    /// What is kept of a partition beside its chunks.
    pub(super) fn partition_entry(&self, id: PartitionId) -> Result<PartitionEntry, LogError> {
        match self.get(&keys::partition(id))? {
            None => Ok(PartitionEntry::default()),
            Some(bytes) => {
                PartitionEntry::decode(&bytes).ok_or_else(|| errors::bad_bytes(self.path(), "a partition's entry"))
            }
        }
    }

    /// Where a partition starts and ends on the disk.
    pub(super) fn range(&self, id: PartitionId) -> Result<OffsetRange, LogError> {
        let start = self.partition_entry(id)?.start;
        let last = self.with(|db| {
            let mut cursor = self.cursor(db, id, Offset::MAX);
            cursor.seek_to_last();
            self.chunk_at(&cursor, id)
        })?;
        Ok(OffsetRange { start, end: last.map_or(start, |chunk| chunk.end().max(start)) })
    }

    /// All topics, in the order of their names.
    pub(super) fn topics(&self) -> Result<Vec<(String, TopicEntry)>, LogError> {
        self.with(|db| {
            let mut options = ReadOptions::default();
            options.set_iterate_upper_bound([keys::TOPICS + 1]);
            let mut cursor = db.raw_iterator_opt(options);
            cursor.seek([keys::TOPICS]);
            let mut topics = Vec::new();
            while let Some((key, value)) = cursor.item() {
                let name = std::str::from_utf8(&key[1..]).ok().map(str::to_owned);
                match name.zip(TopicEntry::decode(value)) {
                    Some(topic) => topics.push(topic),
                    None => return Err(errors::bad_bytes(self.path(), "a topic's entry")),
                }
                cursor.next();
            }
            cursor.status().map_err(|error| self.error("reading topics", error))?;
            Ok(topics)
        })
    }

    /// The greatest id that a deleted topic had; 0: none was ever deleted.
    pub(super) fn last_deleted(&self) -> Result<u32, LogError> {
        match self.get(&keys::LAST_DELETED)? {
            None => Ok(0),
            Some(bytes) => {
                keys::decode_id(&bytes).ok_or_else(|| errors::bad_bytes(self.path(), "the id of a deleted topic"))
            }
        }
    }

    /// Chunks of a partition from the one that holds `from` on, up to `end`, until the limit is used up.
    pub(super) fn chunks(
        &self,
        partition: &Partition,
        from: Offset,
        end: Offset,
        mut limit: ReadLimit,
    ) -> Result<Vec<Arc<Chunk>>, LogError> {
        self.with(|db| {
            let mut cursor = self.cursor(db, partition.id, end);
            cursor.seek_for_prev(keys::chunk(partition.id, from));
            if !cursor.valid() {
                cursor.status().map_err(|error| self.reading(partition, error))?;
                cursor.seek_to_first();
            }
            let mut chunks = Vec::new();
            while let Some(chunk) = self.chunk_at(&cursor, partition.id)? {
                if chunk.end() > from {
                    let enough = limit.take(&chunk);
                    chunks.push(Arc::new(chunk));
                    if enough {
                        break;
                    }
                }
                cursor.next();
            }
            Ok(chunks)
        })
    }

    /// The base of the chunk that holds `offset`.
    pub(super) fn base_of(&self, partition: &Partition, offset: Offset) -> Result<Option<Offset>, LogError> {
        let limit = ReadLimit { bytes: 1, records: 1 };
        let chunks = self.chunks(partition, offset, Offset::MAX, limit)?;
        Ok(chunks.first().map(|chunk| chunk.base()).filter(|base| *base <= offset))
    }

    /// The bytes cannot be what was written.
    pub(super) fn damaged_chunk(&self, partition: &Partition, base: Offset) -> LogError {
        errors::bad_bytes(self.path(), format!("{} at offset {base}", partition.name))
    }

    /// Frees files that lie wholly within `from` to `to`, **both included**, with everything in them: no living key may
    /// be in that range. What is left of it goes with later compactions of RocksDB.
    pub(super) fn drop_files(&self, from: [u8; 17], to: [u8; 17]) -> Result<(), LogError> {
        self.with(|db| {
            db.delete_file_in_range(from, to).map_err(|error| self.error("dropping files of trimmed records", error))
        })
    }

    fn cursor<'a>(&self, db: &'a DB, id: PartitionId, end: Offset) -> DBRawIterator<'a> {
        let mut options = ReadOptions::default();
        options.set_iterate_lower_bound(keys::chunk(id, 0));
        options.set_iterate_upper_bound(keys::chunk(id, end));
        options.set_readahead_size(256 * 1024);
        // Old chunks are read once, by restores; the newest are in the tail cache anyway.
        options.fill_cache(false);
        db.raw_iterator_opt(options)
    }

    fn chunk_at(&self, cursor: &DBRawIterator<'_>, id: PartitionId) -> Result<Option<Chunk>, LogError> {
        let Some((key, value)) = cursor.item() else {
            cursor.status().map_err(|error| self.error("reading records", error))?;
            return Ok(None);
        };
        keys::chunk_base(key, id)
            .and_then(|base| Chunk::new(base, value.to_vec()))
            .map(Some)
            .ok_or_else(|| errors::bad_bytes(self.path(), "a chunk of records"))
    }

    fn number(&self, key: &[u8], what: &str) -> Result<Option<u64>, LogError> {
        self.get(key)?
            .map(|bytes| keys::decode_u64(&bytes).ok_or_else(|| errors::bad_bytes(self.path(), what)))
            .transpose()
    }

    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, LogError> {
        self.with(|db| db.get(key).map_err(|error| self.error("reading", error)))
    }

    fn with<T>(&self, work: impl FnOnce(&DB) -> Result<T, LogError>) -> Result<T, LogError> {
        match &*read(&self.db) {
            Some(db) => work(db),
            None => Err(LogError::new(
                LogErrorKind::Fatal,
                format!("the embedded log in {} could not be opened again after a failed write", self.path().display()),
            )),
        }
    }

    fn reading(&self, partition: &Partition, error: rocksdb::Error) -> LogError {
        self.error(&format!("reading {}", partition.name), error)
    }

    fn error(&self, doing: &str, error: rocksdb::Error) -> LogError {
        errors::storage(self.path(), doing, error)
    }
}

impl Drop for Store {
    /// Brings everything into tables, so that the next opening has nothing to replay. Nothing depends on it.
    fn drop(&mut self) {
        if let Some(db) = &*read(&self.db)
            && let Err(error) = db.flush()
        {
            tracing::warn!(error = %error, "the embedded log could not be flushed; the next opening replays its log");
        }
    }
}

/// Draws an id for a log that is being made.
fn put_id(db: &DB, directory: &Directory) -> Result<(), LogError> {
    let mut id = [0; 8];
    // Eight bytes come as a whole: getrandom(2) promises it up to 256.
    rustix::rand::getrandom(&mut id, rustix::rand::GetRandomFlags::empty())
        .map_err(|error| errors::file(directory.path(), "cannot draw an id for the log", error.into()))?;
    let mut options = WriteOptions::default();
    options.set_sync(true);
    db.put_opt(keys::LOG_ID, id, &options).map_err(|error| errors::storage(directory.path(), "writing", error))
}

fn open_database(directory: &Directory, options: &EmbeddedOptions, cache: &Cache) -> Result<DB, LogError> {
    let mut settings = database_settings(options, cache);
    settings.create_if_missing(!directory.is_formatted());
    DB::open(&settings, directory.database())
        .map_err(|error| errors::storage(directory.path(), "opening the database", error))
}

fn database_settings(options: &EmbeddedOptions, cache: &Cache) -> rocksdb::Options {
    let mut settings = rocksdb::Options::default();
    settings.set_wal_recovery_mode(DBRecoveryMode::TolerateCorruptedTailRecords);
    settings.set_track_and_verify_wals_in_manifest(true);
    settings.set_paranoid_checks(true);
    settings.set_compression_type(DBCompressionType::Lz4);
    settings.set_write_buffer_size(options.write_buffer_bytes);
    settings.set_max_write_buffer_number(4);
    settings.set_target_file_size_base(2 * options.write_buffer_bytes as u64);
    settings.set_level_compaction_dynamic_level_bytes(true);
    settings.set_max_background_jobs(2);
    settings.set_bytes_per_sync(1 << 20);
    settings.set_max_open_files(256);
    settings.set_keep_log_file_num(2);
    settings.set_max_log_file_size(1 << 20);
    settings.set_stats_dump_period_sec(0);
    settings.set_stats_persist_period_sec(0);
    let mut table = BlockBasedOptions::default();
    table.set_block_cache(cache);
    table.set_block_size(64 * 1024);
    settings.set_block_based_table_factory(&table);
    settings
}

#[cfg(test)]
#[path = "store_tests.rs"]
mod tests;
