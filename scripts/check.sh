#!/usr/bin/env bash
# Formatting and lints, warnings denied.
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh build
. scripts/env.sh
echo "check: formatting"
cargo fmt --all --check
echo "check: lints (the first time compiles RocksDB and librdkafka: ten to twenty minutes on two cores)"
cargo clippy --workspace --all-targets --quiet -- --deny warnings
