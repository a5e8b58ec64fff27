//! Task state on disk: RocksDB without its write-ahead log, since the changelog is one.
//!
//! One column family, so that a flush is atomic: after a crash the disk holds the state after a prefix of the writes,
//! and the changelog offset stored in the same writes says which.

use std::path::{Path, PathBuf};

use rocksdb::checkpoint::Checkpoint;
use rocksdb::{
    BlockBasedIndexType, BlockBasedOptions, Cache, DB, DBCompressionType, DataBlockIndexType, Direction, ErrorKind,
    IteratorMode, LruCacheOptions, Options, WriteBatch, WriteBufferManager, WriteOptions,
};

use super::rocks_snapshot::{RocksSnapshot, beside, remove_old_snapshots};
use super::store::file_error;
use super::{Change, Entry, FileSums, Snapshot, StateError, Store};

/// A store's write buffer: below this its files are too small, above it a flush takes too long.
const LEAST_WRITE_BUFFER: usize = 1 << 20;
const MOST_WRITE_BUFFER: usize = 8 << 20;

/// A shard of the block cache.
const LEAST_SHARD: usize = 8 << 20;

/// Tables side by side from which on an idle store merges them after all: at some twenty RocksDB slows writes down, at
/// some forty it stops them, and would do so in the moment that merging begins.
const MANY_TABLES: u64 = 12;
/// As many have been there when it was opened, and so many more.
const MORE_TABLES: u64 = 4;

/// What the checksums of a store's files are kept in, after the store's name. Not in its directory, which is removed as a
/// whole by whoever finds it unusable.
const SUMS: &str = ".sums";

/// Memory shared by all stores of a process.
#[derive(Clone)]
pub struct RocksMemory {
    cache: Cache,
    write_buffer_bytes: usize,
    /// Counts the write buffers of all stores, and has the largest flushed when they take too much.
    write_buffers: Option<WriteBufferManager>,
}

impl RocksMemory {
    /// A block cache of `cache_bytes` for all stores, and up to two write buffers of `write_buffer_bytes` per store.
    ///
    /// A larger cache saves reads; larger write buffers save compaction and lengthen the changelog tail that is read
    /// after a crash.
    pub fn new(cache_bytes: usize, write_buffer_bytes: usize) -> Self {
        Self { cache: cache(cache_bytes), write_buffer_bytes, write_buffers: None }
    }

    /// `total_bytes` for blocks and write buffers of all stores together, of which write buffers may take
    /// `write_buffer_bytes`, however many stores there are. The bound is soft: what is being flushed is over it for a moment.
    pub fn bounded(total_bytes: usize, write_buffer_bytes: usize) -> Self {
        let cache = cache(total_bytes);
        // Charged to the cache, so that both have one bound. Writers are not stalled: a commit must not wait for a disk.
        let manager = WriteBufferManager::new_write_buffer_manager_with_cache(write_buffer_bytes, false, cache.clone());
        let of_a_store = (write_buffer_bytes / 4).clamp(LEAST_WRITE_BUFFER, MOST_WRITE_BUFFER);
        Self { cache, write_buffer_bytes: of_a_store, write_buffers: Some(manager) }
    }

    /// Bytes in the cache, write buffers charged to it included.
    pub fn cache_bytes(&self) -> usize {
        self.cache.get_usage()
    }

    /// Bytes in the write buffers of all stores; 0 where they are not counted together.
    pub fn write_buffer_bytes(&self) -> usize {
        self.write_buffers.as_ref().map_or(0, WriteBufferManager::get_usage)
    }
}

/// A block cache in as few shards as contention of a handful of threads allows. Write buffers are charged to shards in pieces
/// of 256 KiB, wherever these happen to fall: of the 64 shards that RocksDB would make of 32 MiB, some had no room left for
/// anything, and their filters were read from the disk again for each look.
fn cache(bytes: usize) -> Cache {
    let mut options = LruCacheOptions::default();
    options.set_capacity(bytes);
    options.set_num_shard_bits((bytes / LEAST_SHARD).max(1).ilog2().min(6) as i32);
    Cache::new_lru_cache_opts(&options)
}

impl Default for RocksMemory {
    fn default() -> Self {
        Self::new(64 << 20, 8 << 20)
    }
}

/// One task's RocksDB.
pub struct RocksStore {
    db: DB,
    path: PathBuf,
    write_options: WriteOptions,
    /// Of its files, as far as checkpoints or a restore had to know them.
    sums: FileSums,
    /// Whether it merges tables.
    has_upkeep: bool,
    /// Tables side by side at which it begins to, if nobody has said so before.
    most_tables: u64,
}

impl RocksStore {
    /// Opens the store in `path`, making the directory when it is missing.
    ///
    /// # Errors
    /// [`StateError::Locked`] when another process has it, [`StateError::Full`] when there is no room,
    /// [`StateError::Damaged`] when its files are not what was written, now or when it was read before;
    /// [`StateError::Store`] otherwise; all with the path.
    pub fn open(path: &Path, memory: &RocksMemory) -> Result<Self, StateError> {
        let mut store = Self::open_idle(path, memory, None)?;
        store.begin_upkeep()?;
        Ok(store)
    }

    /// Opens it as [`RocksStore::open`] does, to compact nothing before [`Store::begin_upkeep`]; with its files' checksums
    /// where they are known.
    pub(crate) fn open_idle(path: &Path, memory: &RocksMemory, sums: Option<FileSums>) -> Result<Self, StateError> {
        let mut blocks = BlockBasedOptions::default();
        blocks.set_block_cache(&memory.cache);
        blocks.set_bloom_filter(10.0, false);
        // State is read by key: a hash in each block saves the search, for a byte or two an entry.
        blocks.set_data_block_index_type(DataBlockIndexType::BinaryAndHash);
        blocks.set_data_block_hash_ratio(0.75);
        blocks.set_cache_index_and_filter_blocks(true);
        // In pieces: a filter of a large table is larger than what a small cache has room for, and would be read for each look.
        blocks.set_index_type(BlockBasedIndexType::TwoLevelIndexSearch);
        blocks.set_partition_filters(true);
        blocks.set_pin_top_level_index_and_filter(true);
        blocks.set_pin_l0_filter_and_index_blocks_in_cache(true);
        let mut options = Options::default();
        options.create_if_missing(true);
        options.set_block_based_table_factory(&blocks);
        options.set_compression_type(DBCompressionType::Lz4);
        options.set_write_buffer_size(memory.write_buffer_bytes);
        if let Some(manager) = &memory.write_buffers {
            options.set_write_buffer_manager(manager);
        }
        // Most reads of write buffers find nothing.
        options.set_memtable_whole_key_filtering(true);
        options.set_memtable_prefix_bloom_ratio(0.01);
        options.set_max_write_buffer_number(2);
        options.set_max_open_files(256);
        options.set_keep_log_file_num(2);
        options.set_max_log_file_size(1 << 20);
        options.set_max_background_jobs(2);
        options.set_level_compaction_dynamic_level_bytes(true);
        // A new one has nothing to merge, and would have all of it at once if it began later.
        let is_new = !path.join("CURRENT").exists();
        options.set_disable_auto_compactions(!is_new);
        if let Some(reason) = known_damage(path)? {
            return Err(StateError::Damaged(reason));
        }
        let db = DB::open(&options, path).map_err(|error| store_error(path, &error))?;
        // Whoever had it until now may have met damage since it was looked for.
        if let Some(reason) = noted_damage(path)? {
            return Err(StateError::Damaged(reason));
        }
        // Not before the store is ours: who has it may be uploading from them.
        remove_old_snapshots(path)?;
        let mut write_options = WriteOptions::default();
        write_options.disable_wal(true);
        let sums = sums.unwrap_or_else(|| FileSums::load(&beside(path, SUMS)));
        let mut store =
            Self { db, path: path.to_owned(), write_options, sums, has_upkeep: is_new, most_tables: MANY_TABLES };
        store.most_tables = MANY_TABLES.max(store.tables_side_by_side()? + MORE_TABLES);
        Ok(store)
    }

    /// Tables that may all hold the same keys.
    fn tables_side_by_side(&self) -> Result<u64, StateError> {
        let count = self.db.property_int_value("rocksdb.num-files-at-level0").map_err(|error| self.error(&error))?;
        Ok(count.unwrap_or(0))
    }

    fn error(&self, error: &rocksdb::Error) -> StateError {
        let error = store_error(&self.path, error);
        if let StateError::Damaged(reason) = &error {
            note_damage(&self.path, reason);
        }
        error
    }

    /// For whoever opens the store next.
    fn save_sums(&self) {
        let path = beside(&self.path, SUMS);
        if !self.sums.is_empty()
            && let Err(error) = self.sums.save(&path)
        {
            tracing::warn!(path = %path.display(), %error, "files will be read again for the first checkpoint after a restart");
        }
    }
}

impl Drop for RocksStore {
    fn drop(&mut self) {
        self.save_sums();
    }
}

fn store_error(path: &Path, error: &rocksdb::Error) -> StateError {
    let text = format!("{}: {error}", path.display());
    let message = error.to_string();
    if message.contains("No space left") {
        StateError::Full(text)
    } else if message.contains("While lock file") || message.contains("lock hold by current process") {
        StateError::Locked(format!("{text}; stop the other process or give this one a state directory of its own"))
    } else if error.kind() == ErrorKind::Corruption || message.contains("No such file or directory") {
        StateError::Damaged(text)
    } else if error.kind() == ErrorKind::IOError {
        StateError::Store(format!(
            "{text}; what was committed is safe in the log: with a state directory on another disk it is restored"
        ))
    } else {
        StateError::Store(text)
    }
}

/// A file beside the store's own that says why the store is damaged. Damage may show to one read in a thousand; who opens
/// the store next shall know at once.
const DAMAGED: &str = "DAMAGED";

pub(super) fn note_damage(path: &Path, reason: &str) {
    let note = path.join(DAMAGED);
    if let Err(error) = std::fs::write(&note, reason) {
        tracing::warn!(path = %note.display(), %error, "damage of a store cannot be noted; it will be met again");
    }
}

fn noted_damage(path: &Path) -> Result<Option<String>, StateError> {
    let note = path.join(DAMAGED);
    match std::fs::read(&note) {
        Ok(reason) => Ok(Some(String::from_utf8_lossy(&reason).into_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(file_error(&note, &error)),
    }
}

/// Damage that RocksDB would not tell when it opens the directory.
fn known_damage(path: &Path) -> Result<Option<String>, StateError> {
    if let Some(reason) = noted_damage(path)? {
        return Ok(Some(reason));
    }
    let (mut has_current, mut has_tables) = (false, false);
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error(path, &error)),
    };
    for entry in entries {
        let name = entry.map_err(|error| file_error(path, &error))?.file_name();
        has_current |= name == "CURRENT";
        has_tables |= Path::new(&name).extension().is_some_and(|extension| extension == "sst");
    }
    // RocksDB would begin an empty store in the middle of the old one's tables.
    Ok((has_tables && !has_current).then(|| format!("{}: there are tables, but no CURRENT", path.display())))
}

impl Store for RocksStore {
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, StateError> {
        self.db.get(key).map_err(|error| self.error(&error))
    }

    fn scan(
        &self,
        from: &[u8],
        to: Option<&[u8]>,
        visitor: &mut dyn FnMut(&[u8], &[u8]) -> bool,
    ) -> Result<(), StateError> {
        let mut options = rocksdb::ReadOptions::default();
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        for entry in self.db.iterator_opt(IteratorMode::From(from, Direction::Forward), options) {
            let (key, value) = entry.map_err(|error| self.error(&error))?;
            if to.is_some_and(|to| key.as_ref() >= to) || !visitor(&key, &value) {
                break;
            }
        }
        Ok(())
    }

    fn last(&self, from: &[u8], to: Option<&[u8]>) -> Result<Option<Entry>, StateError> {
        if to.is_some_and(|to| to <= from) {
            return Ok(None);
        }
        let mut options = rocksdb::ReadOptions::default();
        options.set_iterate_lower_bound(from);
        if let Some(to) = to {
            options.set_iterate_upper_bound(to);
        }
        let last = self.db.iterator_opt(IteratorMode::End, options).next().transpose();
        Ok(last.map_err(|error| self.error(&error))?.map(|(key, value)| (key.into_vec(), value.into_vec())))
    }

    fn write(&mut self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Result<(), StateError> {
        let mut batch = WriteBatch::default();
        for change in changes {
            match change {
                Change::Put(key, value) => batch.put(key, value),
                Change::Delete(key) => batch.delete(key),
            }
        }
        self.db.write_opt(batch, &self.write_options).map_err(|error| self.error(&error))?;
        if !self.has_upkeep && self.tables_side_by_side()? >= self.most_tables {
            self.begin_upkeep()?;
        }
        Ok(())
    }

    fn flush(&mut self) -> Result<(), StateError> {
        self.db.flush().map_err(|error| self.error(&error))
    }

    fn begin_upkeep(&mut self) -> Result<bool, StateError> {
        if self.has_upkeep {
            return Ok(false);
        }
        self.db.set_options(&[("disable_auto_compactions", "false")]).map_err(|error| self.error(&error))?;
        self.has_upkeep = true;
        Ok(true)
    }

    fn snapshot(&mut self) -> Result<Box<dyn Snapshot>, StateError> {
        // Without a write-ahead log the checkpoint holds what was flushed.
        self.flush()?;
        self.save_sums();
        let snapshot = RocksSnapshot::of(&self.path, self.sums.clone())?;
        let checkpoint = Checkpoint::new(&self.db).map_err(|error| self.error(&error))?;
        checkpoint
            .create_checkpoint(snapshot.directory())
            .map_err(|error| store_error(snapshot.directory(), &error))?;
        Ok(Box::new(snapshot))
    }
}

#[cfg(test)]
#[path = "rocks_tests.rs"]
mod tests;
