//! Reading every byte that a restore may ask for.

use std::io;

use super::super::ToolError;
use super::list::list;
use super::survey::TaskCheckpoints;
use crate::checkpoint::{ObjectErrorKind, ObjectStore};
use crate::log::Log;
use crate::state::Summing;
use crate::topology::Topology;

/// What was read, and what came of it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Verification {
    /// The tasks; a checkpoint that lists a damaged file is not valid.
    pub tasks: Vec<TaskCheckpoints>,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
}

impl Verification {
    /// What is wrong, each with the name of the object or task; empty: all is well.
    pub fn problems(&self) -> Vec<String> {
        self.tasks.iter().flat_map(TaskCheckpoints::problems).collect()
    }
}

/// Downloads every file that a checkpoint of the application lists, and compares size and SHA-256. `told` hears the name of
/// each before it is read. Blocks for as long as that takes.
///
/// # Errors
/// As [`list`]; damage is no error but in what is returned.
pub fn verify(
    log: &dyn Log,
    store: &dyn ObjectStore,
    topology: &Topology,
    told: &mut dyn FnMut(&str),
) -> Result<Verification, ToolError> {
    let mut verification = Verification { tasks: list(log, store, topology)?, ..Verification::default() };
    for task in &mut verification.tasks {
        for (_, file) in task.files() {
            let object = task.objects.file(&file);
            told(&object);
            let mut sum = Summing::new(io::sink());
            match store.download(&object, &mut sum) {
                Ok(_) => {}
                // Missing ones are known from the listing; one that went since is of a checkpoint that went, too.
                Err(error) if error.kind() == ObjectErrorKind::NotFound => continue,
                Err(error) => return Err(error.into()),
            }
            let (size, checksum) = sum.sum();
            verification.files += 1;
            verification.bytes += size;
            if (size, checksum) != (file.size, file.checksum) {
                task.condemn(&file, &checksum.to_string());
            }
        }
    }
    Ok(verification)
}
