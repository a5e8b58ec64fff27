//! Comparing with agreed outputs in `tests/golden`. With `BEACON_WRITE_GOLDEN=1` they are written instead, to be read and
//! agreed on in a review.

use std::{fs, path::Path};

/// Fails, showing both, unless `actual` is what `tests/golden/NAME` holds.
pub(crate) fn assert_agreed(name: &str, actual: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    if std::env::var_os("BEACON_WRITE_GOLDEN").is_some() {
        fs::write(&path, actual).unwrap();
    }
    let agreed = fs::read_to_string(&path)
        .unwrap_or_else(|error| panic!("{}: {error}; BEACON_WRITE_GOLDEN=1 writes it", path.display()));
    assert_eq!(actual, agreed, "{} is agreed otherwise", path.display());
}
