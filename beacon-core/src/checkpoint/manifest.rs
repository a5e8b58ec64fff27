//! What a checkpoint is: format 1.
//!
//! Bytes: `BCKP`, the format's number, a protobuf message, and SHA-256 of all that. The checksum tells a damaged or
//! half-written manifest from one of a newer program, which says so by its format.

use prost::Message;

use crate::log::{Offset, TopicPartition};
use crate::state::{Checksum, StoreFile};

const MAGIC: &[u8; 4] = b"BCKP";
const FORMAT: u8 = 1;
const HEAD: usize = MAGIC.len() + 1;
const SUM: usize = 32;

/// The state of a task at one offset of its changelog. Never changed once written.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Manifest {
    /// The application's name.
    pub application: String,
    /// The task's partition.
    pub task: u32,
    /// Partition count of the application: key groups are divided among so many tasks.
    pub partitions: u32,
    /// The state is the replay of everything before this offset of the task's changelog.
    pub changelog: Offset,
    /// Next offsets of the task's inputs, as committed with that state. For people and tools: a restored task is told
    /// by the log where its inputs stand.
    pub sources: Vec<(TopicPartition, Offset)>,
    /// One more than the highest one listed when this was written: how many checkpoints the chain has had.
    pub generation: u64,
    /// The files of the store, in the order of their names.
    pub files: Vec<StoreFile>,
    /// The states in the store, with the types that wrote them. For people and tools.
    pub states: Vec<StateName>,
}

/// One state of an operator.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct StateName {
    /// Its full name, `operator/state`.
    pub name: String,
    /// The Rust types of its keys and values, for people; empty when unknown.
    pub codec: String,
}

/// Why bytes are not a manifest.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ManifestError {
    /// Other bytes than were written: truncated, overwritten, rotten.
    #[error("it is damaged: {0}")]
    Damaged(String),
    /// Written by a newer program.
    #[error("its format {0} is unknown to this version, which reads {FORMAT}; restore with the program that wrote it")]
    UnknownFormat(u8),
}

#[derive(Clone, PartialEq, Message)]
struct ManifestMessage {
    #[prost(string, tag = "1")]
    application: String,
    #[prost(uint32, tag = "2")]
    task: u32,
    #[prost(uint32, tag = "3")]
    partitions: u32,
    #[prost(uint64, tag = "4")]
    changelog: u64,
    #[prost(message, repeated, tag = "5")]
    sources: Vec<SourceMessage>,
    #[prost(uint64, tag = "6")]
    generation: u64,
    #[prost(message, repeated, tag = "7")]
    files: Vec<FileMessage>,
    #[prost(message, repeated, tag = "8")]
    states: Vec<StateMessage>,
}

#[derive(Clone, PartialEq, Message)]
struct SourceMessage {
    #[prost(string, tag = "1")]
    topic: String,
    #[prost(uint32, tag = "2")]
    partition: u32,
    #[prost(uint64, tag = "3")]
    next: u64,
}

#[derive(Clone, PartialEq, Message)]
struct FileMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(uint64, tag = "2")]
    size: u64,
    #[prost(bytes = "vec", tag = "3")]
    sha256: Vec<u8>,
}

#[derive(Clone, PartialEq, Message)]
struct StateMessage {
    #[prost(string, tag = "1")]
    name: String,
    #[prost(string, tag = "2")]
    codec: String,
}

impl Manifest {
    /// Its bytes. Equal manifests have equal bytes.
    pub fn encode(&self) -> Vec<u8> {
        let source = |(at, next): &(TopicPartition, Offset)| SourceMessage {
            topic: at.topic.to_string(),
            partition: at.partition,
            next: *next,
        };
        let file = |file: &StoreFile| FileMessage {
            name: file.name.clone(),
            size: file.size,
            sha256: file.checksum.as_bytes().to_vec(),
        };
        let state = |state: &StateName| StateMessage { name: state.name.clone(), codec: state.codec.clone() };
        let message = ManifestMessage {
            application: self.application.clone(),
            task: self.task,
            partitions: self.partitions,
            changelog: self.changelog,
            sources: self.sources.iter().map(source).collect(),
            generation: self.generation,
            files: self.files.iter().map(file).collect(),
            states: self.states.iter().map(state).collect(),
        };
        let mut bytes = MAGIC.to_vec();
        bytes.push(FORMAT);
        bytes.extend(message.encode_to_vec());
        let sum = Checksum::of(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        bytes
    }

    /// Reads what [`Manifest::encode`] wrote.
    ///
    /// # Errors
    /// When the bytes are anything else; restore from an older manifest then.
    pub fn decode(bytes: &[u8]) -> Result<Self, ManifestError> {
        let damaged = |reason: &str| ManifestError::Damaged(reason.to_owned());
        let body = bytes.len().checked_sub(SUM).filter(|end| *end >= HEAD).ok_or_else(|| damaged("it is cut short"))?;
        let (head, sum) = bytes.split_at(body);
        if !head.starts_with(MAGIC) {
            return Err(damaged("it does not begin as one"));
        }
        if Checksum::of(head).as_bytes() != sum {
            return Err(damaged("its checksum is of other bytes"));
        }
        if head[MAGIC.len()] != FORMAT {
            return Err(ManifestError::UnknownFormat(head[MAGIC.len()]));
        }
        let message = ManifestMessage::decode(&head[HEAD..]).map_err(|error| damaged(&error.to_string()))?;
        let mut files = Vec::with_capacity(message.files.len());
        for file in message.files {
            let sum: [u8; 32] = file.sha256.try_into().map_err(|_| damaged("a file's checksum has not 32 bytes"))?;
            // It becomes a path on the disk that restores it.
            if file.name.is_empty() || file.name.contains(['/', '\\', '\0']) || file.name.starts_with('.') {
                return Err(damaged("a file's name is a path"));
            }
            files.push(StoreFile { name: file.name, size: file.size, checksum: Checksum::from_bytes(sum) });
        }
        let source = |source: SourceMessage| (TopicPartition::new(source.topic, source.partition), source.next);
        let state = |state: StateMessage| StateName { name: state.name, codec: state.codec };
        Ok(Self {
            application: message.application,
            task: message.task,
            partitions: message.partitions,
            changelog: message.changelog,
            sources: message.sources.into_iter().map(source).collect(),
            generation: message.generation,
            files,
            states: message.states.into_iter().map(state).collect(),
        })
    }

    /// Bytes of all its files.
    pub fn bytes(&self) -> u64 {
        self.files.iter().map(|file| file.size).sum()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn example() -> Manifest {
        Manifest {
            application: "alerts".into(),
            task: 3,
            partitions: 8,
            changelog: 12_345,
            sources: vec![(TopicPartition::new("in", 3), 99)],
            generation: 7,
            files: vec![StoreFile { name: "000012.sst".into(), size: 3, checksum: Checksum::of(b"abc") }],
            states: vec![StateName { name: "group/open".into(), codec: "u64".into() }],
        }
    }

    #[test]
    fn format_1_stays_readable() {
        let bytes = include_bytes!("manifest-format-1.bin");
        assert_eq!(Manifest::decode(bytes), Ok(example()));
        assert_eq!(example().encode(), bytes, "the format has changed: give it a new number and keep reading this one");
    }

    #[test]
    fn a_newer_format_is_told_from_damage() {
        let mut bytes = example().encode();
        bytes.truncate(bytes.len() - SUM);
        bytes[4] = 9;
        let sum = Checksum::of(&bytes);
        bytes.extend_from_slice(sum.as_bytes());
        assert_eq!(Manifest::decode(&bytes), Err(ManifestError::UnknownFormat(9)));
    }

    #[test]
    fn a_file_name_that_is_a_path_is_refused() {
        for name in ["../x", "a/b", "", ".", "..", "/etc/passwd"] {
            let mut manifest = example();
            manifest.files[0].name = name.into();
            assert!(Manifest::decode(&manifest.encode()).is_err(), "{name}");
        }
    }

    proptest! {
        #[test]
        fn any_flipped_or_missing_byte_is_noticed(at in any::<prop::sample::Index>(), flip in 1u8.., cut: bool) {
            let mut bytes = example().encode();
            let at = at.index(bytes.len());
            if cut { bytes.truncate(at) } else { bytes[at] ^= flip }
            prop_assert!(Manifest::decode(&bytes).is_err());
        }

        #[test]
        fn any_bytes_are_a_manifest_or_an_error(bytes: Vec<u8>) {
            prop_assert!(Manifest::decode(&bytes).is_err());
        }
    }
}
