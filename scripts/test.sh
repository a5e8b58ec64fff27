#!/usr/bin/env bash
# All tests, or those that the arguments choose as `cargo test` takes them. Ends with a line that counts them.
set -uo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh test || exit 1
. scripts/env.sh
output=$(mktemp "${TMPDIR:-/tmp}/beacon-tests.XXXXXX")
trap 'rm -f "$output"' EXIT
failed=0

say() { printf '\n== %s\n' "$*"; }

# What a scenario starts as processes must be there before its test asks for it.
say "building (the first time compiles RocksDB and librdkafka: fifteen to twenty-five minutes on two cores; later minutes or seconds)"
cargo build --workspace --bins || exit 1
cargo test --workspace --no-run || exit 1

if [ $# -gt 0 ]; then
    say "testing: $*"
    "$CARGO_TARGET_DIR/debug/with-kafka" cargo test --no-fail-fast "$@" 2>&1 | tee "$output" || failed=1
else
    say "the engine without Kafka, RocksDB or any C++"
    cargo test --package beacon-core --no-default-features --no-fail-fast 2>&1 | tee "$output" || failed=1
    say "everything, beside a real Kafka (usually five to eight minutes)"
    "$CARGO_TARGET_DIR/debug/with-kafka" cargo test --workspace --no-fail-fast 2>&1 | tee -a "$output" || failed=1
fi

# cargo counts per program; people and CI want one line.
read -r passes failures < <(sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' "$output" |
    awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }')
say "closing"
echo "$passes passed, $failures failed"
[ "$failed" = 0 ] && [ "$failures" = 0 ] && [ "$passes" -gt 0 ]
