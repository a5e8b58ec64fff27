#!/usr/bin/env bash
# All tests, or those that the arguments choose as `cargo test` takes them. Ends with a line that counts them.
set -uo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh test || exit 1
. scripts/env.sh
logs=$(mktemp -d "${TMPDIR:-/tmp}/beacon-tests.XXXXXX")
trap 'rm -rf "$logs"' EXIT
failed=0

say() { printf '\n== %s\n' "$*"; }
# beside_kafka LOG CARGO-ARGUMENT...: runs cargo test beside a real Kafka.
beside_kafka() {
    local log=$logs/$1
    shift
    "$CARGO_TARGET_DIR/debug/with-kafka" cargo test --no-fail-fast "$@" 2>&1 | tee "$log" || failed=1
}

# What a scenario starts as processes must be there before its test asks for it.
say "building (the first time compiles RocksDB and librdkafka: fifteen to twenty-five minutes on two cores; later minutes or seconds)"
if ! cargo build --workspace --bins || ! cargo test --workspace --no-run; then
    say "closing: it does not compile"
    echo "0 passed, 1 failed"
    exit 1
fi

if [ $# -gt 0 ]; then
    say "testing: $*"
    beside_kafka chosen "$@"
else
    # The incidents mostly wait, for group_wait, for retries, for a broker to come back: they run beside the rest, and
    # those of the two logs beside each other.
    say "the incidents, in the background (usually five minutes); their output comes at the end"
    cargo test --workspace --no-fail-fast --test incidents -- --skip embedded >"$logs/incidents-kafka" 2>&1 &
    incidents_kafka=$!
    cargo test --workspace --no-fail-fast --test incidents -- embedded >"$logs/incidents-embedded" 2>&1 &
    incidents_embedded=$!

    say "ten rounds of chaos on a Kafka of their own, in the background (usually three minutes)"
    cargo test --workspace --no-fail-fast --test chaos -- --nocapture >"$logs/chaos" 2>&1 &
    chaos=$!

    say "the engine without Kafka, RocksDB or any C++"
    cargo test --package beacon-core --no-default-features --no-fail-fast 2>&1 | tee "$logs/pure" || failed=1

    say "everything but incidents and chaos, beside a real Kafka"
    others=$(cargo metadata --no-deps --format-version 1 | /usr/bin/python3 -c '
import json, sys
names = {target["name"] for package in json.load(sys.stdin)["packages"] for target in package["targets"] if "test" in target["kind"]}
print(" ".join("--test " + name for name in sorted(names - {"incidents", "chaos"})))')
    # shellcheck disable=SC2086 # a list of flags
    beside_kafka rest --workspace --lib --bins $others
    say "examples in the documentation"
    cargo test --workspace --doc 2>&1 | tee "$logs/doc" || failed=1

    say "chaos"
    wait "$chaos" || failed=1
    cat "$logs/chaos"

    say "the incidents"
    wait "$incidents_embedded" || failed=1
    cat "$logs/incidents-embedded"
    wait "$incidents_kafka" || failed=1
    cat "$logs/incidents-kafka"
fi

# cargo counts per program; people and CI want one line.
read -r passes failures < <(cat "$logs"/* |
    sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' |
    awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }')
# A test program that died says nothing about its tests: that is a failure, too.
[ "$failed" = 1 ] && [ "$failures" = 0 ] && failures=1
say "closing"
echo "$passes passed, $failures failed"
[ "$failures" = 0 ] && [ "$passes" -gt 0 ]
