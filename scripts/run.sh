#!/usr/bin/env bash
# Builds Beacon in release and starts it on its embedded log, in the caller's directory. Arguments go to `beacon up`.
set -euo pipefail
here=$(cd "$(dirname "$0")/.." && pwd)
bash "$here/scripts/setup.sh" build
. "$here/scripts/env.sh"
if [ ! -x "$CARGO_TARGET_DIR/release/beacon" ]; then
    echo "run: building Beacon. The first time compiles RocksDB and librdkafka: ten to twenty minutes on two cores."
else
    echo "run: building what changed (usually under two minutes)"
fi
cargo build --manifest-path "$here/Cargo.toml" --release --package beacon
exec "$CARGO_TARGET_DIR/release/beacon" up "$@"
