//! Names of objects: `application/history/task-3/manifests/00000000000000012345` and
//! `application/history/task-3/files/checksum-size`.

use crate::log::Offset;
use crate::state::{Checksum, StoreFile};

/// The objects of one task.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TaskObjects {
    /// The application's name.
    pub application: String,
    /// The task's partition.
    pub task: u32,
    /// Which making of the changelog they belong to, as [`Log::topic_id`](crate::log::Log::topic_id) says; `None` when
    /// the log cannot tell. Offsets of one say nothing about another.
    pub history: Option<String>,
}

/// What an object of a task is, by its name.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum ObjectName {
    /// The manifest of this changelog offset.
    Manifest(Offset),
    /// A file of a store, by content.
    File {
        /// Checksum of its bytes.
        checksum: Checksum,
        /// Its bytes.
        size: u64,
    },
}

impl TaskObjects {
    /// What all its objects' names begin with.
    pub fn prefix(&self) -> String {
        match &self.history {
            Some(history) => format!("{}/{history}/task-{}/", self.application, self.task),
            None => format!("{}/task-{}/", self.application, self.task),
        }
    }

    /// The name of the manifest of this changelog offset. One manifest an offset: whoever writes a second one finds
    /// the state already safe.
    pub fn manifest(&self, changelog: Offset) -> String {
        format!("{}manifests/{changelog:020}", self.prefix())
    }

    /// The name of a file's object. Content only: the same file under two names, or of two owners, is one object.
    pub fn file(&self, file: &StoreFile) -> String {
        format!("{}files/{}-{}", self.prefix(), file.checksum, file.size)
    }

    /// What the object of this name is; `None` when it is not one of ours.
    pub fn parse(&self, name: &str) -> Option<ObjectName> {
        let rest = name.strip_prefix(&self.prefix())?;
        let parsed = if let Some(offset) = rest.strip_prefix("manifests/") {
            ObjectName::Manifest(offset.parse().ok()?)
        } else {
            let (checksum, size) = rest.strip_prefix("files/")?.split_once('-')?;
            ObjectName::File { checksum: Checksum::parse(checksum)?, size: size.parse().ok()? }
        };
        // Exactly as we write it: `+5` and `005` are numbers, too, and somebody else's objects.
        let written = match parsed {
            ObjectName::Manifest(offset) => self.manifest(offset),
            ObjectName::File { checksum, size } => self.file(&StoreFile { name: String::new(), size, checksum }),
        };
        (written == name).then_some(parsed)
    }
}
