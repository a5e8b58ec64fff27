//! The changelog's bytes: each record is a chunk of changes, in the order they apply.
//!
//! Format 1: a byte `1`, then for each change a byte (0 delete, 1 put), key length, key, and for a put value length
//! and value; lengths are u32, big-endian. Changes are absolute, so reading a record twice does no harm.

use crate::state::Change;

const FORMAT: u8 = 1;

/// No chunk is larger than this, unless a single change is. Larger chunks make fewer records; all of a commit is atomic
/// anyway. Far below what logs take as one record (1 MiB), so that only a change can be too large, never a commit.
pub const CHUNK_BYTES: usize = 256 << 10;

/// Bytes that are no chunk.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a changelog record: {0}; is the changelog topic used by something else?")]
pub struct ChangelogError(pub String);

/// A chunk without changes: for a record that only has to be there.
pub fn empty_chunk() -> Vec<u8> {
    vec![FORMAT]
}

/// Packs changes into as few chunks as their size allows, and hands each out.
pub fn encode_chunks<'a, E>(
    changes: impl Iterator<Item = Change<'a>>,
    mut emit: impl FnMut(Vec<u8>) -> Result<(), E>,
) -> Result<(), E> {
    let mut chunk = empty_chunk();
    for change in changes {
        let (Change::Put(key, _) | Change::Delete(key)) = change;
        let value_bytes = if let Change::Put(_, value) = change { 4 + value.len() } else { 0 };
        if chunk.len() > 1 && chunk.len() + 5 + key.len() + value_bytes > CHUNK_BYTES {
            emit(std::mem::replace(&mut chunk, empty_chunk()))?;
        }
        match change {
            Change::Put(key, value) => {
                chunk.push(1);
                put_bytes(&mut chunk, key);
                put_bytes(&mut chunk, value);
            }
            Change::Delete(key) => {
                chunk.push(0);
                put_bytes(&mut chunk, key);
            }
        }
    }
    if chunk.len() > 1 { emit(chunk) } else { Ok(()) }
}

fn put_bytes(chunk: &mut Vec<u8>, bytes: &[u8]) {
    chunk.extend_from_slice(&(bytes.len() as u32).to_be_bytes());
    chunk.extend_from_slice(bytes);
}

/// Reads a chunk's changes.
///
/// # Errors
/// When the bytes are not a whole chunk of a known format; nothing of it should be applied.
pub fn decode_chunk(bytes: &[u8]) -> Result<Vec<Change<'_>>, ChangelogError> {
    let (format, mut rest) = bytes.split_first().ok_or_else(|| ChangelogError("it is empty".into()))?;
    if *format != FORMAT {
        return Err(ChangelogError(format!("format {format} is unknown to this version, which writes {FORMAT}")));
    }
    let mut changes = Vec::new();
    while let Some((kind, after)) = rest.split_first() {
        rest = after;
        let key = take_bytes(&mut rest)?;
        changes.push(match kind {
            0 => Change::Delete(key),
            1 => Change::Put(key, take_bytes(&mut rest)?),
            other => return Err(ChangelogError(format!("change of unknown kind {other}"))),
        });
    }
    Ok(changes)
}

fn take_bytes<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], ChangelogError> {
    let short = || ChangelogError("it ends in the middle of a change".into());
    let (length, after) = rest.split_first_chunk::<4>().ok_or_else(short)?;
    let length = u32::from_be_bytes(*length) as usize;
    let bytes = after.get(..length).ok_or_else(short)?;
    *rest = &after[length..];
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn chunks_read_back(changes: Vec<(Vec<u8>, Option<Vec<u8>>)>) {
            let borrowed: Vec<_> = changes.iter().map(|(key, value)| match value {
                Some(value) => Change::Put(key, value),
                None => Change::Delete(key),
            }).collect();
            let mut chunks = Vec::new();
            encode_chunks(borrowed.iter().copied(), |chunk| { chunks.push(chunk); Ok::<_, Infallible>(()) }).expect("infallible");
            let mut read = Vec::new();
            for chunk in &chunks {
                read.extend(decode_chunk(chunk).expect("own bytes"));
            }
            prop_assert_eq!(read, borrowed);
        }

        #[test]
        fn any_bytes_are_a_chunk_or_an_error(bytes: Vec<u8>) {
            let _ = decode_chunk(&bytes);
        }
    }

    #[test]
    fn a_large_change_is_a_chunk_of_its_own() {
        let values = [vec![1; 200 << 10], vec![2; 900 << 10], vec![3; 10]];
        let changes = values.iter().map(|value| Change::Put(b"key", value));
        let mut sizes = Vec::new();
        encode_chunks(changes, |chunk| {
            sizes.push(chunk.len());
            Ok::<_, Infallible>(())
        })
        .expect("infallible");
        assert_eq!(sizes.len(), 3, "{sizes:?}");
        assert!(sizes.iter().all(|size| *size < 1 << 20), "{sizes:?}");
    }

    #[test]
    fn a_chunk_may_be_without_changes() {
        assert_eq!(decode_chunk(&empty_chunk()), Ok(Vec::new()));
    }

    #[test]
    fn format_1_stays_readable() {
        let bytes = [1, 1, 0, 0, 0, 1, b'k', 0, 0, 0, 2, b'v', b'w', 0, 0, 0, 0, 1, b'd'];
        assert_eq!(decode_chunk(&bytes), Ok(vec![Change::Put(b"k", b"vw"), Change::Delete(b"d")]));
    }
}
