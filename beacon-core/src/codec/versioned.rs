//! Values whose bytes change with the program: each is stored with the number of its version.
//!
//! A program that knows version 3 reads what versions 1 and 2 wrote: the old type is decoded and upgraded step by
//! step. What it deliberately does not do: it never guesses. Bytes of a version that the program does not know, because
//! a newer program wrote them or because support was dropped, are an error that names the versions.

use std::ops::{Deref, DerefMut};

use super::{Codec, CodecError};

/// One version of a stored type.
///
/// The first version has [`Oldest`] before it; each later one names the type it replaces and how to get from there:
///
/// ```
/// use beacon_core::codec::{Codec, CodecError, Oldest, Schema, Versioned};
///
/// /// Version 1: how many orders.
/// struct OrdersV1 { count: u32 }
/// /// Version 2: and what they were worth.
/// #[derive(Debug, PartialEq)]
/// struct Orders { count: u32, cents: u64 }
///
/// impl Codec for OrdersV1 {
///     fn encode(&self, out: &mut Vec<u8>) { self.count.encode(out) }
///     fn decode(bytes: &[u8]) -> Result<Self, CodecError> { Ok(Self { count: u32::decode(bytes)? }) }
/// }
/// impl Codec for Orders {
///     fn encode(&self, out: &mut Vec<u8>) { self.count.encode(out); self.cents.encode(out) }
///     fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
///         let (count, cents) = bytes.split_at_checked(4).ok_or_else(|| CodecError::new("Orders", "too short"))?;
///         Ok(Self { count: u32::decode(count)?, cents: u64::decode(cents)? })
///     }
/// }
///
/// impl Schema for OrdersV1 {
///     const VERSION: u8 = 1;
///     type Before = Oldest;
///     fn upgrade(before: Oldest) -> Self { match before {} }
/// }
/// impl Schema for Orders {
///     const VERSION: u8 = 2;
///     type Before = OrdersV1;
///     fn upgrade(before: OrdersV1) -> Self { Self { count: before.count, cents: 0 } }
/// }
///
/// let stored_by_the_older_program = Versioned(OrdersV1 { count: 7 }).to_bytes();
/// let read = Versioned::<Orders>::decode(&stored_by_the_older_program)?;
/// assert_eq!(*read, Orders { count: 7, cents: 0 });
/// # Ok::<(), CodecError>(())
/// ```
pub trait Schema: Codec {
    /// The number stored before the bytes: from 1, larger than that of [`Schema::Before`] (checked at compile time),
    /// and never used for other bytes again.
    const VERSION: u8;
    /// The version before this one.
    type Before: Schema;
    /// This version's value of an older one. It must not fail: an older program's state is all there is.
    fn upgrade(before: Self::Before) -> Self;
}

/// What is before the first version: nothing. Also what a program names as `Before` that no longer reads older bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Oldest {}

impl Codec for Oldest {
    fn encode(&self, _: &mut Vec<u8>) {
        match *self {}
    }
    fn decode(_: &[u8]) -> Result<Self, CodecError> {
        Err(CodecError::new("Oldest", "it is no version"))
    }
}

impl Schema for Oldest {
    const VERSION: u8 = 0;
    type Before = Self;
    fn upgrade(before: Self) -> Self {
        before
    }
}

/// A value stored with the number of its [`Schema`] version: one byte, then the version's own bytes.
///
/// For values of state and of topics that outlive the program. A state that was stored without it cannot be read with
/// it: its first byte is no version. Begin with it, or give the new state a new name.
///
/// Upgrades happen as values are read; what is not read keeps its old bytes, so support for a version may be dropped
/// only when no state holds it any more.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Versioned<T>(pub T);

impl<T> Deref for Versioned<T> {
    type Target = T;
    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T> DerefMut for Versioned<T> {
    fn deref_mut(&mut self) -> &mut T {
        &mut self.0
    }
}

impl<T> From<T> for Versioned<T> {
    fn from(value: T) -> Self {
        Self(value)
    }
}

impl<T: Schema> Codec for Versioned<T> {
    fn encode(&self, out: &mut Vec<u8>) {
        out.push(T::VERSION);
        self.0.encode(out);
    }

    fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
        let Some((version, bytes)) = bytes.split_first() else {
            return Err(CodecError::new(name::<T>(), "it is empty: not even a version was stored"));
        };
        if *version > T::VERSION {
            return Err(CodecError::new(
                name::<T>(),
                format!(
                    "it was stored as version {version} by a newer program, this one knows versions {} to {}; start the \
                     newer program again",
                    oldest::<T>(),
                    T::VERSION
                ),
            ));
        }
        read(*version, bytes).unwrap_or_else(|| {
            Err(CodecError::new(
                name::<T>(),
                format!(
                    "it is stored as version {version}, this program knows versions {} to {}; start one that knows both, \
                     or give the state a new name and read its input again",
                    oldest::<T>(),
                    T::VERSION
                ),
            ))
        })
        .map(Self)
    }

    /// The type's name, `@` and the version: `Orders@2`.
    fn codec_name() -> String {
        format!("{}@{}", T::codec_name(), T::VERSION)
    }
}

/// The value of bytes of this version, upgraded; `None`: no version in the chain has this number.
fn read<T: Schema>(version: u8, bytes: &[u8]) -> Option<Result<T, CodecError>> {
    const { assert!(T::VERSION == 0 || T::VERSION > T::Before::VERSION, "versions of a schema must grow") }
    if T::VERSION == 0 || version > T::VERSION {
        None
    } else if version == T::VERSION {
        Some(T::decode(bytes))
    } else {
        Some(read::<T::Before>(version, bytes)?.map(T::upgrade))
    }
}

/// The first version of the chain.
fn oldest<T: Schema>() -> u8 {
    if T::Before::VERSION == 0 { T::VERSION } else { oldest::<T::Before>() }
}

fn name<T>() -> &'static str {
    std::any::type_name::<T>().rsplit("::").next().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    macro_rules! version {
        ($name:ident, $version:literal, $before:ty, $upgrade:expr) => {
            #[derive(Debug, PartialEq)]
            struct $name(String);
            impl Codec for $name {
                fn encode(&self, out: &mut Vec<u8>) {
                    self.0.encode(out);
                }
                fn decode(bytes: &[u8]) -> Result<Self, CodecError> {
                    String::decode(bytes).map(Self)
                }
            }
            impl Schema for $name {
                const VERSION: u8 = $version;
                type Before = $before;
                fn upgrade(before: $before) -> Self {
                    let upgrade: fn($before) -> String = $upgrade;
                    Self(upgrade(before))
                }
            }
        };
    }
    version!(One, 1, Oldest, |before| match before {});
    version!(Two, 2, One, |before| before.0 + ">2");
    version!(Four, 4, Two, |before| before.0 + ">4");
    // Dropped the older ones.
    version!(Five, 5, Oldest, |before| match before {});

    #[test]
    fn bytes_of_every_older_version_are_read_and_upgraded_in_turn() {
        // Bytes as they stand in stores: a version, then that version's own.
        for (bytes, value) in [(b"\x01ab", "ab>2>4"), (b"\x02ab", "ab>4"), (b"\x04ab", "ab")] {
            assert_eq!(Versioned::<Four>::decode(bytes), Ok(Versioned(Four(value.into()))), "{bytes:?}");
        }
        assert_eq!(Versioned(Four("ab".into())).to_bytes(), b"\x04ab");
    }

    #[test]
    fn an_unknown_version_is_an_error_that_names_the_known_ones() {
        let error = |bytes: &[u8]| Versioned::<Four>::decode(bytes).expect_err("unknown").to_string();
        assert_eq!(
            error(b"\x05ab"),
            "not a Four: it was stored as version 5 by a newer program, this one knows versions 1 to 4; start the newer \
             program again"
        );
        assert!(
            error(b"\x03ab").contains("stored as version 3, this program knows versions 1 to 4"),
            "{}",
            error(b"\x03ab")
        );
        assert!(error(b"\x00ab").contains("stored as version 0"), "{}", error(b"\x00ab"));
        assert!(error(b"").contains("it is empty"), "{}", error(b""));
    }

    #[test]
    fn a_version_whose_support_was_dropped_is_refused() {
        let error = Versioned::<Five>::decode(b"\x04ab").expect_err("dropped").to_string();
        assert!(error.contains("stored as version 4, this program knows versions 5 to 5"), "{error}");
    }

    #[test]
    fn a_codec_tells_its_version() {
        assert_eq!(Versioned::<Four>::codec_name(), "Four@4");
    }
}
