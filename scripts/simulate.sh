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
# A filter that matches nothing is no error to the test harness; here it is.
for job in every_seed standby_copies every_operator silent_partitions input_that_was_not; do
    report=$(BEACON_SEEDS=$seeds cargo test --package beacon-core --no-default-features --test simulation -- --nocapture "$job" | tee >(cat >&2))
    if ! grep -q "^test result: ok. [1-9]" <<<"$report"; then
        echo "simulate: no test of tests/simulation is called $job..." >&2
        exit 1
    fi
done
