//! The identity of a label set, as Prometheus and Alertmanager compute and print it.

use std::collections::BTreeMap;

/// FNV-1a of sorted `name 0xff value 0xff`: `model.LabelSet.Fingerprint` of prometheus/common.
pub fn fingerprint(labels: &BTreeMap<String, String>) -> u64 {
    of_sorted(labels.iter().map(|(name, value)| (name.as_str(), value.as_str())))
}

/// The fingerprint of pairs that are sorted by name, each name once.
pub fn of_sorted<'a>(labels: impl Iterator<Item = (&'a str, &'a str)>) -> u64 {
    const OFFSET: u64 = 14_695_981_039_346_656_037;
    const PRIME: u64 = 1_099_511_628_211;
    let mut hash = OFFSET;
    let mut add = |bytes: &[u8]| {
        for byte in bytes {
            hash = (hash ^ u64::from(*byte)).wrapping_mul(PRIME);
        }
    };
    for (name, value) in labels {
        add(name.as_bytes());
        add(&[0xff]);
        add(value.as_bytes());
        add(&[0xff]);
    }
    hash
}

/// The fingerprint as 16 hex digits.
pub fn hex(labels: &BTreeMap<String, String>) -> String {
    format!("{:016x}", fingerprint(labels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_set_is_the_offset_basis() {
        // model.emptyLabelSignature in prometheus/common.
        assert_eq!(fingerprint(&BTreeMap::new()), 14_695_981_039_346_656_037);
    }
}
