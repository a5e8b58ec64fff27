//! Codecs of plain types. Integers are big-endian, signed ones with the sign bit flipped, so that they sort.

use super::{Codec, CodecError, OrderedCodec};

/// Bytes as they are.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Raw(pub Vec<u8>);

impl Codec for Raw {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.0);
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        Ok(Self(bytes.to_vec()))
    }
    fn into_bytes(self) -> Vec<u8> {
        self.0
    }
}
impl OrderedCodec for Raw {}

impl Codec for String {
    fn encode(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(self.as_bytes());
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        std::str::from_utf8(bytes).map(str::to_owned).map_err(|error| CodecError::new("String", error.to_string()))
    }
    fn into_bytes(self) -> Vec<u8> {
        self.into()
    }
}
impl OrderedCodec for String {}

impl Codec for () {
    fn encode(&self, _: &mut Vec<u8>) {}
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        if bytes.is_empty() { Ok(()) } else { Err(CodecError::new("()", format!("{} bytes", bytes.len()))) }
    }
}
impl OrderedCodec for () {}

impl Codec for bool {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(*self));
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        match bytes {
            [0] => Ok(false),
            [1] => Ok(true),
            _ => Err(CodecError::new("bool", format!("{bytes:?}"))),
        }
    }
}

/// A byte that says whether there is a value, then the value.
impl<V: Codec> Codec for Option<V> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(u8::from(self.is_some()));
        if let Some(value) = self {
            value.encode(out);
        }
    }
    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        match bytes {
            [0] => Ok(None),
            [1, value @ ..] => V::decode(value).map(Some),
            _ => Err(CodecError::new("Option", "it begins with neither 0 alone nor 1")),
        }
    }
    fn codec_name() -> String {
        format!("Option<{}>", V::codec_name())
    }
}

macro_rules! integer {
    ($($type:ty, $unsigned:ty, $flip:expr);+ $(;)?) => {$(
        impl Codec for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                out.extend_from_slice(&((*self as $unsigned) ^ $flip).to_be_bytes());
            }
            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                let array = bytes.try_into()
                    .map_err(|_| CodecError::new(stringify!($type), format!("{} bytes", bytes.len())))?;
                Ok((<$unsigned>::from_be_bytes(array) ^ $flip) as $type)
            }
        }
        impl OrderedCodec for $type {}
    )+};
}

integer! {
    u8, u8, 0;
    u16, u16, 0;
    u32, u32, 0;
    u64, u64, 0;
    i32, u32, 1 << 31;
    i64, u64, 1 << 63;
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_round_trip_and_sort_as_bytes(a: i64, b: i64) {
            prop_assert_eq!(i64::decode(&a.to_bytes()).expect("own bytes"), a);
            prop_assert_eq!(a.cmp(&b), a.to_bytes().cmp(&b.to_bytes()));
        }
    }

    #[test]
    fn options_read_back_and_nothing_else_does() {
        for value in [None, Some(String::new()), Some("x".to_owned())] {
            assert_eq!(Option::<String>::decode(&value.to_bytes()), Ok(value));
        }
        assert!(Option::<String>::decode(&[0, 1]).is_err());
        assert!(Option::<String>::decode(&[]).is_err());
    }

    #[test]
    fn bytes_given_away_are_those_that_are_written() {
        assert_eq!(Raw(vec![1, 2]).into_bytes(), Raw(vec![1, 2]).to_bytes());
        assert_eq!(Codec::into_bytes("ab".to_owned()), b"ab");
    }

    #[test]
    fn wrong_lengths_are_named() {
        assert_eq!(u32::decode(&[1]).expect_err("too short").to_string(), "not a u32: 1 bytes");
    }
}
