//! What is wrong with a configuration, and where.
//!
//! Everything wrong is reported at once. A message never contains the value of a secret.

use std::fmt;

/// A place in the file, both from 1; columns count characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Position {
    /// Line.
    pub line: usize,
    /// Character in the line.
    pub column: usize,
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.line, self.column)
    }
}

/// What kind of mistake it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// The file is not YAML, or uses of it what is not taken.
    Yaml,
    /// A key that Alertmanager does not have either.
    UnknownKey,
    /// Alertmanager has it, Beacon does not yet. Refused rather than ignored.
    NotSupported,
    /// Something required is absent.
    Missing,
    /// Something is there and is wrong.
    Invalid,
}

/// One mistake.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanError {
    /// Where in the file.
    pub position: Position,
    /// Where in the structure, as `route.routes[2].receiver`; empty for the file as a whole.
    pub path: String,
    /// The kind.
    pub fault: Fault,
    /// What is wrong and the way out.
    pub message: String,
}

impl fmt::Display for PlanError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let separator = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}: {}{separator}{}", self.position, self.path, self.message)
    }
}

/// Every mistake of one file, in the order of the file. Never empty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlanErrors {
    /// The file's name.
    pub name: String,
    /// The mistakes.
    pub errors: Vec<PlanError>,
}

/// One line for each mistake: `alertmanager.yml:12:7: route.routes[2].receiver: …`.
impl fmt::Display for PlanErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, error) in self.errors.iter().enumerate() {
            write!(f, "{}{}:{error}", if at > 0 { "\n" } else { "" }, self.name)?;
        }
        Ok(())
    }
}

impl std::error::Error for PlanErrors {}

/// Something that works, but may not mean what its author thinks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Warning {
    /// Where in the file.
    pub position: Position,
    /// Where in the structure.
    pub path: String,
    /// What it is and what to write instead.
    pub message: String,
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}: {}", self.position, self.path, self.message)
    }
}
