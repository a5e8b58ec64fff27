//! What files are known by: SHA-256 (FIPS 180-4) of their bytes.
//!
//! Not a CRC: objects are named by their checksum and shared between checkpoints, so that two files with one checksum
//! would be taken for one another, and over the life of an application there are millions of them. It costs about a
//! second a gigabyte, off the hot path, once a file.

use std::fmt;
use std::io::{self, Read, Write};

use sha2::{Digest, Sha256};

/// SHA-256 of a file's bytes. Shown as 64 hexadecimal digits.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Checksum([u8; 32]);

impl Checksum {
    /// The checksum of these bytes.
    pub fn of(bytes: &[u8]) -> Self {
        Self(Sha256::digest(bytes).into())
    }

    /// The checksum with these bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads what [`fmt::Display`] wrote; `None` when the text is something else.
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.as_bytes();
        if digits.len() != 64 || !digits.iter().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f')) {
            return None;
        }
        let mut bytes = [0; 32];
        for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
            *byte = u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// Its 32 bytes.
    pub fn as_bytes(&self) -> &[u8; 32] {
        &self.0
    }

    /// Reads to the end; size and checksum of what was read.
    ///
    /// # Errors
    /// The reader's.
    pub fn read(reader: &mut dyn Read) -> io::Result<(u64, Self)> {
        let mut sink = Summing::new(io::sink());
        io::copy(reader, &mut sink)?;
        Ok(sink.sum())
    }
}

impl fmt::Display for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(f, "{byte:02x}"))
    }
}

impl fmt::Debug for Checksum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hands bytes on and sums them up on the way.
pub struct Summing<W> {
    inner: W,
    hash: Sha256,
    size: u64,
}

impl<W: Write> Summing<W> {
    /// Sums up what goes to `inner` from now on.
    pub fn new(inner: W) -> Self {
        Self { inner, hash: Sha256::new(), size: 0 }
    }

    /// Size and checksum of what was written.
    pub fn sum(self) -> (u64, Checksum) {
        (self.size, Checksum(self.hash.finalize().into()))
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.inner.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_checksum_reads_back_and_nothing_else_does() {
        let sum = Checksum::of(b"abc");
        assert_eq!(sum.to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad", "FIPS 180-4");
        assert_eq!(Checksum::parse(&sum.to_string()), Some(sum));
        assert_eq!(Checksum::parse(&sum.to_string().to_uppercase()), None);
        assert_eq!(Checksum::parse("ba78"), None);
        assert_eq!(Checksum::read(&mut &b"abc"[..]).expect("memory"), (3, sum));
    }
}
