#!/usr/bin/env bash
# All tests, or those that the arguments choose as `cargo test` takes them. Ends with a line that counts them.
set -uo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh test || exit 1
. scripts/env.sh
logs=$(mktemp -d "${TMPDIR:-/tmp}/beacon-tests.XXXXXX")
trap 'rm -rf "$logs"' EXIT
mkdir "$logs/out"
failed=0

say() { printf '\n== %s\n' "$*"; }
give_up() {
    say "closing: it does not compile"
    echo "0 passed, 1 failed"
    exit 1
}
# build NAME CARGO-ARGUMENT...: builds tests and notes the programs that came of it.
build() {
    local messages=$logs/$1.json
    shift
    cargo test --no-run --message-format=json-render-diagnostics "$@" >"$messages" || give_up
}

# What a scenario starts as processes must be there before its test asks for it.
say "building (the first time compiles RocksDB and librdkafka: fifteen to twenty-five minutes on two cores; later minutes or seconds)"
cargo build --workspace --bins || give_up
# The broker that the test programs share. Those that break theirs are told of the caller's, if there is one.
export BEACON_CALLERS_KAFKA="${KAFKA_BOOTSTRAP_SERVERS-}"

if [ $# -gt 0 ]; then
    say "testing: $*"
    "$CARGO_TARGET_DIR/debug/with-kafka" cargo test --no-fail-fast "$@" 2>&1 | tee "$logs/out/chosen" || failed=1
else
    build all --workspace
    build pure --package beacon-core --no-default-features
    say "all test programs, four at a time, beside a real Kafka (usually six to eight minutes); each one's output comes when it has ended"
    "$CARGO_TARGET_DIR/debug/with-kafka" /usr/bin/python3 scripts/test-programs.py --logs "$logs/out" "$logs"/*.json || failed=1
    say "examples in the documentation"
    cargo test --workspace --doc 2>&1 | tee "$logs/out/doc" || failed=1
fi

# cargo counts per program; people and CI want one line.
read -r passes failures < <(cat "$logs"/out/* |
    sed -n 's/^test result: .* \([0-9]*\) passed; \([0-9]*\) failed;.*/\1 \2/p' |
    awk '{ passed += $1; failed += $2 } END { print passed + 0, failed + 0 }')
# A test program that died says nothing about its tests: that is a failure, too.
[ "$failed" = 1 ] && [ "$failures" = 0 ] && failures=1
say "closing"
echo "$passes passed, $failures failed"
[ "$failures" = 0 ] && [ "$passes" -gt 0 ]
