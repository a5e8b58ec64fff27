//! Checksums of files on this disk, remembered: a table never changes, so it is read for its checksum once, not at each
//! checkpoint, nor after a restore that has just seen all its bytes, nor after a restart.
//!
//! A file is known by its identity, which says nothing of a file that is changed behind the file system's back. So a sum
//! from here is for finding out what has been uploaded already, never a proof that a file is whole: what is uploaded is
//! summed again on its way.

use std::collections::HashMap;
use std::fmt::Write as _;
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use super::Checksum;

/// First line of a file of them.
const FORMAT: &str = "beacon file sums 1";

/// A file on this disk, whatever it is called: a hard link has the identity of its origin, and so has what is renamed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
struct FileIdentity {
    device: u64,
    inode: u64,
    size: u64,
    /// Seconds and nanoseconds.
    modified: (i64, i64),
}

impl FileIdentity {
    fn of(data: &Metadata) -> Self {
        let modified = (data.mtime(), data.mtime_nsec());
        Self { device: data.dev(), inode: data.ino(), size: data.len(), modified }
    }
}

/// What is known of the files of one store. Clones share it.
#[derive(Clone, Debug, Default)]
pub(crate) struct FileSums(Arc<Mutex<HashMap<FileIdentity, Checksum>>>);

impl FileSums {
    fn lock(&self) -> MutexGuard<'_, HashMap<FileIdentity, Checksum>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Whether nothing is known.
    pub(crate) fn is_empty(&self) -> bool {
        self.lock().is_empty()
    }

    /// A file's checksum is known from elsewhere. It must not be written any more.
    pub(crate) fn note(&self, file: &File, checksum: Checksum) -> io::Result<()> {
        let identity = FileIdentity::of(&file.metadata()?);
        self.lock().insert(identity, checksum);
        Ok(())
    }

    /// Size and checksum of each of these files, read where they are not known. What is known of others is forgotten.
    pub(crate) fn of_all<E>(
        &self,
        files: impl Iterator<Item = Result<(String, File), E>>,
        failed: impl Fn(&str, io::Error) -> E,
    ) -> Result<Vec<(String, u64, Checksum)>, E> {
        let mut known = HashMap::new();
        let mut sums = Vec::new();
        for file in files {
            let (name, mut file) = file?;
            let identity = FileIdentity::of(&file.metadata().map_err(|error| failed(&name, error))?);
            let before = self.lock().get(&identity).copied();
            let (size, checksum) = match before {
                Some(checksum) => (identity.size, checksum),
                None => Checksum::read(&mut file).map_err(|error| failed(&name, error))?,
            };
            known.insert(identity, checksum);
            sums.push((name, size, checksum));
        }
        *self.lock() = known;
        Ok(sums)
    }

    /// What [`FileSums::save`] wrote. Nothing is known when that cannot be read: files are read again then.
    pub(crate) fn load(path: &Path) -> Self {
        let known = match std::fs::read_to_string(path) {
            Ok(text) => parse(&text),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Some(HashMap::new()),
            Err(_) => None,
        };
        let known = known.unwrap_or_else(|| {
            tracing::debug!(path = %path.display(), "checksums of files are not known any more");
            HashMap::new()
        });
        Self(Arc::new(Mutex::new(known)))
    }

    /// Writes what is known to a file. A crash leaves the old one, the new one, or one that is found to be neither.
    pub(crate) fn save(&self, path: &Path) -> io::Result<()> {
        let text = format(&self.lock());
        let part = path.with_extension("sums-part");
        let saved = std::fs::write(&part, text).and_then(|()| std::fs::rename(&part, path));
        if saved.is_err() {
            // Half of it on a disk without room helps nobody, and the reason is told already.
            let _ = std::fs::remove_file(&part);
        }
        saved
    }
}

fn format(known: &HashMap<FileIdentity, Checksum>) -> String {
    let mut lines: Vec<_> = known.iter().collect();
    lines.sort();
    let mut text = format!("{FORMAT}\n");
    for (FileIdentity { device, inode, size, modified: (seconds, nanoseconds) }, checksum) in lines {
        writeln!(text, "{device} {inode} {size} {seconds} {nanoseconds} {checksum}").expect("writing to a string");
    }
    let whole = Checksum::of(text.as_bytes());
    writeln!(text, "{whole}").expect("writing to a string");
    text
}

/// `None`: not whole, or of another format.
fn parse(text: &str) -> Option<HashMap<FileIdentity, Checksum>> {
    let (lines, whole) = text.strip_suffix('\n')?.rsplit_once('\n')?;
    let summed = text.get(..=lines.len())?;
    if Checksum::parse(whole)? != Checksum::of(summed.as_bytes()) {
        return None;
    }
    let mut lines = lines.lines();
    (lines.next()? == FORMAT).then_some(())?;
    lines.map(parse_line).collect()
}

fn parse_line(line: &str) -> Option<(FileIdentity, Checksum)> {
    let mut words = line.split(' ');
    let identity = FileIdentity {
        device: words.next()?.parse().ok()?,
        inode: words.next()?.parse().ok()?,
        size: words.next()?.parse().ok()?,
        modified: (words.next()?.parse().ok()?, words.next()?.parse().ok()?),
    };
    let checksum = Checksum::parse(words.next()?)?;
    words.next().is_none().then_some((identity, checksum))
}

/// Another byte in a file, behind the file system's back: what is known of the file still seems to be.
#[cfg(all(test, feature = "rocksdb"))]
pub(crate) fn rot(path: &Path) {
    use std::io::{Seek, SeekFrom, Write};
    let mut file = File::options().write(true).open(path).expect("opened");
    let before = file.metadata().expect("known");
    file.seek(SeekFrom::Start(1)).and_then(|_| file.write_all(b"?")).expect("written");
    file.set_modified(before.modified().expect("known")).expect("set back");
    assert_eq!(FileIdentity::of(&file.metadata().expect("known")), FileIdentity::of(&before));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(path: &Path, bytes: &[u8]) -> File {
        std::fs::write(path, bytes).expect("written");
        File::open(path).expect("opened")
    }

    fn sum_of(sums: &FileSums, path: &Path) -> Checksum {
        let file = File::open(path).expect("opened");
        let files = std::iter::once(Ok::<_, io::Error>((String::new(), file)));
        sums.of_all(files, |_, error| error).expect("read")[0].2
    }

    #[test]
    fn what_is_known_is_not_read_again_and_outlives_a_restart_and_a_rename() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let (path, renamed) = (directory.path().join("000007.sst"), directory.path().join("000008.sst"));
        let sums = FileSums::default();
        // Of other bytes: what comes back shows where it comes from.
        let noted = Checksum::of(b"noted");
        sums.note(&written(&path, b"table"), noted).expect("noted");
        std::fs::rename(&path, &renamed).expect("renamed");
        assert_eq!(sum_of(&sums, &renamed), noted);
        let saved = directory.path().join("sums");
        sums.save(&saved).expect("saved");
        assert_eq!(sum_of(&FileSums::load(&saved), &renamed), noted);
        // Another file under an old name is another file.
        written(&path, b"other");
        assert_eq!(sum_of(&FileSums::load(&saved), &path), Checksum::of(b"other"));
    }

    #[test]
    fn a_file_of_sums_that_is_not_whole_says_nothing() {
        let directory = tempfile::tempdir().expect("a temporary directory");
        let path = directory.path().join("000007.sst");
        let sums = FileSums::default();
        sums.note(&written(&path, b"table"), Checksum::of(b"noted")).expect("noted");
        let saved = directory.path().join("sums");
        sums.save(&saved).expect("saved");
        let whole = std::fs::read(&saved).expect("read");
        for end in 0..whole.len() {
            std::fs::write(&saved, &whole[..end]).expect("written");
            assert_eq!(sum_of(&FileSums::load(&saved), &path), Checksum::of(b"table"), "cut at {end}");
        }
        for at in 0..whole.len() {
            let mut spoilt = whole.clone();
            spoilt[at] ^= 1;
            std::fs::write(&saved, &spoilt).expect("written");
            assert_eq!(sum_of(&FileSums::load(&saved), &path), Checksum::of(b"table"), "spoilt at {at}");
        }
        assert_eq!(sum_of(&FileSums::load(&directory.path().join("none")), &path), Checksum::of(b"table"));
    }
}
