//! Codecs of the two times: as their milliseconds, so that they sort.

use super::{Codec, CodecError, OrderedCodec};
use crate::time::{EventTime, ProcessingTime};

macro_rules! times {
    ($($type:ty),+) => {$(
        impl Codec for $type {
            fn encode(&self, out: &mut Vec<u8>) {
                self.as_millis().encode(out);
            }
            fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                i64::decode(bytes).map(Self::from_millis)
            }
        }
        impl OrderedCodec for $type {}
    )+};
}

times!(EventTime, ProcessingTime);
