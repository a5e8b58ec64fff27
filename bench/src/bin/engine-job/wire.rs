//! Big-endian fields of the benchmark's values. What a job does not need of a value is not read.

use beacon_core::codec::CodecError;

/// Reads fields one after the other; the rest of the value is filler.
pub struct Fields<'a> {
    wanted: &'static str,
    rest: &'a [u8],
    length: usize,
}

impl<'a> Fields<'a> {
    pub fn of(wanted: &'static str, bytes: &'a [u8]) -> Self {
        Self { wanted, rest: bytes, length: bytes.len() }
    }

    /// The next `N` bytes.
    pub fn take<const N: usize>(&mut self) -> Result<[u8; N], CodecError> {
        let short = || CodecError::new(self.wanted, format!("{} bytes are too few", self.length));
        let (field, rest) = self.rest.split_first_chunk().ok_or_else(short)?;
        self.rest = rest;
        Ok(*field)
    }

    pub fn byte(&mut self) -> Result<u8, CodecError> {
        Ok(self.take::<1>()?[0])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_value_that_ends_too_early_is_named() {
        let mut fields = Fields::of("Alert", &[1, 2, 3]);
        assert_eq!(fields.byte(), Ok(1));
        assert_eq!(fields.take::<4>().expect_err("two are left").to_string(), "not a Alert: 3 bytes are too few");
    }
}
