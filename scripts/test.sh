#!/usr/bin/env bash
# All tests, or those that the arguments choose as `cargo test` takes them. Ends with a line that counts them.
set -uo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh test || exit 1
. scripts/env.sh
output=$(mktemp "${TMPDIR:-/tmp}/beacon-tests.XXXXXX")
trap 'rm -f "$output"' EXIT
failed=0
# Bounded, so that a large machine does not start a dozen brokers and databases at a time. Incidents take turns anyway.
threads=--test-threads=2

say() { printf '\n== %s\n' "$*"; }

# The closing line, which people and CI read; cargo counts per program only. What failed outside any test (it did not
# compile, a test program crashed) counts as one failed, and so does each ignored test.
close() {
    local passes failures ignored
    read -r passes failures ignored < <(
        awk '/^test result: / { gsub(";", ""); p += $4; f += $6; i += $8 } END { print p + 0, f + 0, i + 0 }' "$output"
    )
    say "closing"
    [ "$ignored" = 0 ] || echo "$ignored tests are ignored: repair or remove them"
    failures=$((failures + ignored))
    if [ "$failed" != 0 ] && [ "$failures" = 0 ]; then
        echo "something failed outside any test; its message is above"
        failures=1
    fi
    echo "$passes passed, $failures failed"
    [ "$failures" = 0 ] && [ "$passes" -gt 0 ]
    exit
}

# What a scenario starts as processes must be there before its test asks for it.
say "building (the first time compiles RocksDB and librdkafka: fifteen to twenty-five minutes on two cores; later minutes or seconds)"
if ! cargo build --workspace --bins || ! cargo test --workspace --no-run; then
    failed=1
    close
fi

if [ $# -gt 0 ]; then
    say "testing: $*"
    "$CARGO_TARGET_DIR/debug/with-kafka" cargo test --no-fail-fast "$@" 2>&1 | tee "$output" || failed=1
else
    say "the engine without Kafka, RocksDB or any C++"
    cargo test --package beacon-core --no-default-features --no-fail-fast -- $threads 2>&1 | tee "$output" || failed=1
    say "everything, beside a real Kafka (usually five to eight minutes)"
    "$CARGO_TARGET_DIR/debug/with-kafka" cargo test --workspace --no-fail-fast -- $threads 2>&1 | tee -a "$output" || failed=1
fi

close
