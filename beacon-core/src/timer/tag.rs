//! What a timer is for: an enum of the operator's own.

/// The timers an operator sets, one per key and tag. Numbers are the identity of stored timers: never reuse one.
///
/// Implement it with [`timer_tags!`](crate::timer_tags).
pub trait TimerTag: Copy + Eq + std::fmt::Debug + 'static {
    /// The tag's number.
    fn number(self) -> u8;
    /// The tag with this number.
    fn from_number(number: u8) -> Option<Self>;
}

impl TimerTag for () {
    fn number(self) -> u8 {
        0
    }
    fn from_number(number: u8) -> Option<Self> {
        (number == 0).then_some(())
    }
}

/// Declares an enum of timers with the numbers they are stored under.
///
/// ```
/// beacon_core::timer_tags! {
///     /// Deadlines of a door.
///     pub enum Deadline {
///         /// Open for too long.
///         Open = 1,
///     }
/// }
/// ```
#[macro_export]
macro_rules! timer_tags {
    ($(#[$meta:meta])* $visibility:vis enum $name:ident { $($(#[$variant_meta:meta])* $variant:ident = $number:literal),+ $(,)? }) => {
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        $visibility enum $name { $($(#[$variant_meta])* $variant),+ }

        impl $crate::timer::TimerTag for $name {
            fn number(self) -> u8 {
                match self { $(Self::$variant => $number),+ }
            }
            fn from_number(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$variant),)+ _ => None }
            }
        }
    };
}
