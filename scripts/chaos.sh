#!/usr/bin/env bash
# Chaos on a real Kafka: two worker processes through kills, freezes, lost disks and broker failures, by seed.
# BEACON_CHAOS_ROUNDS (default 200, about 15 s each), BEACON_CHAOS_SEED (a run again), BEACON_CHAOS_ROUND_SEED (one plan again),
# BEACON_CHAOS_KEEP (a directory for what a failed round leaves).
set -euo pipefail
cd "$(dirname "$0")/.."
bash scripts/setup.sh test
. scripts/env.sh
export BEACON_CHAOS_ROUNDS="${BEACON_CHAOS_ROUNDS:-200}"
exec cargo test --workspace --test chaos -- --nocapture every_record_counts_once_whatever_fails
