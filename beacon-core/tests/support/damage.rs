//! Ways in which the files of a store on disk come to harm.

use std::fs;
use std::path::{Path, PathBuf};

/// Which files of a store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    Tables,
    Manifest,
    Current,
}

/// What happens to them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    /// One bit near the beginning: of a table, in a block of data.
    Flipped,
    /// The second half is gone.
    Cut,
    Emptied,
    Gone,
}

pub const EVERY_HARM: [(Part, Harm); 12] = [
    (Part::Tables, Harm::Flipped),
    (Part::Tables, Harm::Cut),
    (Part::Tables, Harm::Emptied),
    (Part::Tables, Harm::Gone),
    (Part::Manifest, Harm::Flipped),
    (Part::Manifest, Harm::Cut),
    (Part::Manifest, Harm::Emptied),
    (Part::Manifest, Harm::Gone),
    (Part::Current, Harm::Flipped),
    (Part::Current, Harm::Cut),
    (Part::Current, Harm::Emptied),
    (Part::Current, Harm::Gone),
];

impl Part {
    fn is(self, name: &str) -> bool {
        match self {
            Self::Tables => name.ends_with(".sst"),
            Self::Manifest => name.starts_with("MANIFEST"),
            Self::Current => name == "CURRENT",
        }
    }
}

/// Harms a closed store in this directory.
///
/// # Panics
/// When it has no such file.
pub fn harm(directory: &Path, part: Part, harm: Harm) {
    let mut found = 0;
    for entry in fs::read_dir(directory).expect("a directory") {
        let path: PathBuf = entry.expect("an entry").path();
        if !part.is(&path.file_name().expect("a file").to_string_lossy()) {
            continue;
        }
        found += 1;
        let mut bytes = fs::read(&path).expect("read");
        match harm {
            Harm::Flipped => {
                let at = 20.min(bytes.len() / 2);
                bytes[at] ^= 1;
            }
            Harm::Cut => bytes.truncate(bytes.len() / 2),
            Harm::Emptied => bytes.clear(),
            Harm::Gone => {
                fs::remove_file(&path).expect("removed");
                continue;
            }
        }
        fs::write(&path, bytes).expect("written");
    }
    assert!(found > 0, "no {part:?} in {}", directory.display());
}
