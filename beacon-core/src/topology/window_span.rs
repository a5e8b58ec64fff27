//! Windows as they are stored, and what is emitted for them.

use crate::codec::{Codec, CodecError, OrderedCodec};
use crate::time::EventTime;

/// A window: `start` is in it, `end` is not. Ordered by end: that is the order in which windows close.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Span {
    pub(super) end: i64,
    pub(super) start: i64,
}

impl Codec for Span {
    fn encode(&self, out: &mut Vec<u8>) {
        self.end.encode(out);
        self.start.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (end, start) = bytes.split_at(bytes.len().min(8));
        Ok(Self { end: i64::decode(end)?, start: i64::decode(start)? })
    }
}

impl OrderedCodec for Span {}

/// What a window holds.
pub(super) struct Content<A> {
    /// Its result was emitted: it is kept for late records only.
    pub(super) closed: bool,
    pub(super) accumulator: A,
}

impl<A: Codec> Codec for Content<A> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.closed.encode(out);
        self.accumulator.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let (closed, accumulator) = bytes.split_at(bytes.len().min(1));
        Ok(Self { closed: bool::decode(closed)?, accumulator: A::decode(accumulator)? })
    }

    fn codec_name() -> String {
        A::codec_name()
    }
}

/// When a result was emitted, seen from its window.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[non_exhaustive]
pub enum Timing {
    /// The window is open: what it holds so far.
    Early,
    /// The window closed: all its records that were not late.
    OnTime,
    /// A late record came within the allowed lateness: the result before is replaced.
    Late,
}

/// The result of one window.
///
/// As an outgoing record it has the time of the window's last millisecond, so that windows over results of windows work.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Windowed<R> {
    /// The window's first moment.
    pub start: EventTime,
    /// The first moment after the window. Of a session: a gap after its last record.
    pub end: EventTime,
    /// When it was emitted. Of several results of a window, or of a session and those it grew from, the last counts.
    pub timing: Timing,
    /// What came of the window's records.
    pub value: R,
}

/// Start and end as in [`EventTime`]'s codec, a byte for the timing, the value.
impl<R: Codec> Codec for Windowed<R> {
    fn encode(&self, out: &mut Vec<u8>) {
        self.start.encode(out);
        self.end.encode(out);
        out.push(match self.timing {
            Timing::Early => 0,
            Timing::OnTime => 1,
            Timing::Late => 2,
        });
        self.value.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let short = || CodecError::new("Windowed", "too short");
        let (start, rest) = bytes.split_at_checked(8).ok_or_else(short)?;
        let (end, rest) = rest.split_at_checked(8).ok_or_else(short)?;
        let (timing, value) = rest.split_first().ok_or_else(short)?;
        let timing = match timing {
            0 => Timing::Early,
            1 => Timing::OnTime,
            2 => Timing::Late,
            other => return Err(CodecError::new("Windowed", format!("timing {other}"))),
        };
        Ok(Self { start: EventTime::decode(start)?, end: EventTime::decode(end)?, timing, value: R::decode(value)? })
    }

    fn codec_name() -> String {
        format!("Windowed<{}>", R::codec_name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_windows_stay_readable() {
        let span = Span { end: 10, start: -1 };
        let bytes = [0x80, 0, 0, 0, 0, 0, 0, 10, 0x7f, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff];
        assert_eq!(span.to_bytes(), bytes);
        assert_eq!(Span::decode(&bytes), Ok(span));
        let content = Content::<u8>::decode(&[1, 7]).expect("own format");
        assert!(content.closed && content.accumulator == 7);
        assert_eq!(content.to_bytes(), [1, 7]);
    }

    #[test]
    fn results_read_back() {
        let (start, end) = (EventTime::from_millis(5), EventTime::from_millis(9));
        for timing in [Timing::Early, Timing::OnTime, Timing::Late] {
            let result = Windowed { start, end, timing, value: "x".to_owned() };
            assert_eq!(Windowed::decode(&result.to_bytes()), Ok(result));
        }
        assert!(Windowed::<String>::decode(&[0; 17]).is_ok());
        assert!(Windowed::<String>::decode(&[3; 17]).is_err());
    }
}
