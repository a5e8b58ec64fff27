//! Integers of variable length: seven bits a byte, least significant first, as in Protocol Buffers.

/// Appends `value`.
pub(super) fn put(out: &mut Vec<u8>, mut value: u64) {
    while value >= 0x80 {
        out.push(value as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends `value` so that small ones of either sign are short.
pub(super) fn put_signed(out: &mut Vec<u8>, value: i64) {
    put(out, ((value << 1) ^ (value >> 63)) as u64);
}

/// Takes an integer off `bytes` at `*at`; `None` when it is cut off or too long.
pub(super) fn take(bytes: &[u8], at: &mut usize) -> Option<u64> {
    let mut value = 0u64;
    let mut shift = 0;
    loop {
        let byte = *bytes.get(*at)?;
        *at += 1;
        value |= u64::from(byte & 0x7f).checked_shl(shift)?;
        if byte < 0x80 {
            return Some(value);
        }
        shift += 7;
        if shift > 63 {
            return None;
        }
    }
}

/// Takes an integer written by [`put_signed`].
pub(super) fn take_signed(bytes: &[u8], at: &mut usize) -> Option<i64> {
    let raw = take(bytes, at)?;
    Some((raw >> 1) as i64 ^ -((raw & 1) as i64))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn integers_come_back(value in any::<u64>(), signed in any::<i64>()) {
            let mut bytes = Vec::new();
            put(&mut bytes, value);
            put_signed(&mut bytes, signed);
            let mut at = 0;
            prop_assert_eq!(take(&bytes, &mut at), Some(value));
            prop_assert_eq!(take_signed(&bytes, &mut at), Some(signed));
            prop_assert_eq!(at, bytes.len());
            prop_assert_eq!(take(&bytes, &mut at), None);
        }
    }

    #[test]
    fn an_endless_integer_is_refused() {
        assert_eq!(take(&[0xff; 12], &mut 0), None);
    }
}
