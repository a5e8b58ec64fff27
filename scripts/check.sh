#!/usr/bin/env bash
# Formatting, lints and documentation, warnings denied; and that beacon-core's parts stand by themselves.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh build
. scripts/env.sh
echo "check: formatting"
cargo fmt --all --check
echo "check: lints (the first time compiles RocksDB and librdkafka: ten to twenty minutes on two cores)"
cargo clippy --workspace --all-targets --quiet -- --deny warnings
echo "check: beacon-core's features, each by itself"
for feature in kafka embedded rocksdb object-storage; do
    cargo check --quiet --package beacon-core --no-default-features --features "$feature"
done
# By convention a crate that compiles or links other languages' code is called -sys, or builds with one of these.
if foreign=$(cargo tree --package beacon-core --no-default-features --edges normal,build --prefix none | grep -E '^([a-z0-9_-]+-sys|cc|cmake|bindgen) '); then
    echo "check: beacon-core without features is to need no C and no C++, but it pulls in:" >&2
    echo "$foreign" >&2
    exit 1
fi
echo "check: documentation"
RUSTDOCFLAGS="--deny warnings" cargo doc --quiet --workspace --no-deps
