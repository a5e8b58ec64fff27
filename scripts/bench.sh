#!/usr/bin/env bash
# Builds what the benchmark starts as it is deployed (profile dist), and runs it; arguments go to the benchmark (--help tells them).
#   scripts/bench.sh                 everything, written to docs/benchmarks; what `make bench` does. It says first how long
#                                    it takes: about an hour and a half on two quiet cores
#   scripts/bench.sh --quick         a short look that writes nothing: some minutes
#   scripts/bench.sh --only w1,w3 --out docs/benchmarks    parts; the others' figures stay as they are
#   BENCH_PROFILE=dev scripts/bench.sh --quick    the same from the profile of tests, without a release build
set -euo pipefail
cd "$(dirname "$0")/.."
scripts/setup.sh build
scripts/setup.sh bench
. scripts/env.sh

profile=${BENCH_PROFILE:-dist}
case $profile in
dist) directory=dist flags=(--profile dist) ;;
release) directory=release flags=(--release) ;;
dev) directory=debug flags=() ;;
*)
    echo "bench: BENCH_PROFILE is dist, release or dev, not $profile" >&2
    exit 2
    ;;
esac
echo "bench: building in $profile (five minutes when the C++ is cached, some fifteen when not) ..."
# One call, so that all share their dependencies.
cargo build "${flags[@]}" -p beacon -p beacon-worker -p beacon-notifier -p bench -p beacon-core \
    --bins --example kafka_plain_copy

export BENCH_PROFILE=$profile
export BENCH_COMMAND="scripts/bench.sh${*:+ $*}"
if [ $# -eq 0 ]; then
    BENCH_COMMAND="make bench"
    set -- --out docs/benchmarks
fi
exec "$CARGO_TARGET_DIR/$directory/bench" "$@"
