#!/usr/bin/env bash
# Runs the engine's own job under simulation with these seeds: `scripts/simulate.sh 0..20000`. A seed that fails is printed
# with what it did; `scripts/simulate.sh 469..470` runs it again, to the same end. Needs no C++, no Kafka and no disk.
set -euo pipefail
cd "$(dirname "$0")/.."
seeds=${1:-0..2000}
if ! [[ $seeds =~ ^[0-9]+\.\.[0-9]+$ ]]; then
    echo "simulate: SEEDS is \`$seeds\`; it should be like 0..20000: from the first up to, but without, the second" >&2
    exit 2
fi
. scripts/env.sh
# All of the program, so that no job of it can be forgotten here.
exec env BEACON_SEEDS="$seeds" cargo test --package beacon-core --no-default-features --test simulation -- --nocapture
