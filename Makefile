# Beacon. `make run` and `make test` do everything on a fresh Debian or Ubuntu machine with git, make and rustup's cargo.

.DEFAULT_GOAL := help
.PHONY: help run test chaos check bench setup simulate

help: ## Shows this.
	@sed -n 's/^\([a-z]*\):.*## \(.*\)/  make \1\t\2/p' Makefile | expand -t 16

run: ## Builds and starts Beacon on its embedded log. ARGS="--config.file alertmanager.yml" and the like.
	@bash scripts/run.sh $(ARGS)

test: ## All tests, with a real Kafka, Prometheus, amtool and mail server. ARGS="-p beacon-core" for some.
	@bash scripts/test.sh $(ARGS)

chaos: ## Kills, freezes and outages by seed on a real Kafka. ROUNDS=200; SEED=0x1 the same run, ROUND_SEED=0x1 the same round.
	@BEACON_CHAOS_ROUNDS="$(ROUNDS)" BEACON_CHAOS_SEED="$(SEED)" BEACON_CHAOS_ROUND_SEED="$(ROUND_SEED)" bash scripts/chaos.sh

check: ## Formatting and lints.
	@bash scripts/check.sh

bench: ## Benchmarks beside Kafka Streams, librdkafka and Alertmanager; tables and charts into docs/benchmarks.
	@bash scripts/bench.sh $(ARGS)

simulate: ## The engine under simulation, any number of seeds: SEEDS=0..20000.
	@bash scripts/simulate.sh $(SEEDS)

setup: ## Only installs what the others need.
	@bash scripts/setup.sh test
