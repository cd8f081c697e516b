# The few commands that a person types. Each does its own set-up on a Debian machine with Rust, Node and Python.
SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

CARGO_TARGET_DIR ?= target
export CARGO_TARGET_DIR

.PHONY: help demo test test-rust test-kafka test-browser lint bench fuzz soak dashboards setup setup-browser deny

help:
	@grep -E '^# `make' $(MAKEFILE_LIST) | sed 's/^# //'

# `make demo`        a synthetic municipality, watched: prints the dashboards' address and a token
demo: dashboards
	cargo build --release --locked
	$(CARGO_TARGET_DIR)/release/mihari demo $(ARGS)

# `make dashboards`  builds the web application that the program embeds
dashboards: dashboards/dist/index.html

dashboards/dist/index.html: dashboards/package-lock.json dashboards/package.json dashboards/vite.config.ts dashboards/index.html $(wildcard dashboards/public/*) $(shell find dashboards/src -name '*.ts' -o -name '*.tsx' -o -name '*.css')
	cd dashboards && npm ci --no-audit --no-fund --loglevel=error && npm run build
	touch $@

# `make test`        everything: format, lints, layers, unit, integration, browser
test: setup dashboards lint test-rust test-kafka test-browser

lint:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings
	cd dashboards && npm run check && npm test

test-rust:
	cargo test --workspace --locked

# Kafka is a feature of its own: its client is C and takes minutes to build. Here it is built and tested once.
test-kafka:
	tests/setup.sh kafka
	cargo test -p ingest --features kafka --locked --test kafka -- --nocapture
	cargo check --features kafka --locked

test-browser: setup-browser
	cargo build --locked
	cd tests/browser && npm ci --no-audit --no-fund --loglevel=error && npm test

# `make setup`       installs the real senders that the tests use
setup:
	tests/setup.sh senders

setup-browser:
	tests/setup.sh browser

# `make bench`       benchmarks, each beside its peer
bench:
	cargo bench --workspace --locked --features rules/peer

# `make fuzz`        readers of outside bytes, rules, policies, queries, led by what inputs reach: SECONDS=60 each, READERS="flow query"
READERS ?= $(basename $(notdir $(wildcard tests/fuzz/targets/*.rs)))
FUZZ = $(abspath $(CARGO_TARGET_DIR))/fuzz
fuzz:
	cargo install cargo-fuzz --version 0.13.2 --locked --quiet
	for reader in $(READERS); do \
	    mkdir -p $(FUZZ)/$$reader/{corpus,seeds,found}; \
	    MIHARI_FUZZ_SEEDS=$(FUZZ)/$$reader/seeds cargo fuzz run --fuzz-dir tests/fuzz --sanitizer none $$reader $(FUZZ)/$$reader/{corpus,seeds} -- \
	        -max_total_time=$(or $(SECONDS),60) -max_len=4096 -timeout=20 -rss_limit_mb=3072 -verbosity=0 -print_final_stats=1 \
	        -artifact_prefix=$(FUZZ)/$$reader/found/; \
	done
	MIHARI_FUZZ_CASES=$(or $(CASES),20000) cargo test -p rules --locked --test fuzz

# `make soak`        line rate for SECONDS=600 with an exact ledger, then the demo for as long, with every planted incident to be seen
soak: dashboards
	cargo bench -p ingest --locked --bench rate -- syslog flow --seconds $(or $(SECONDS),600)
	cargo build --release --locked
	$(CARGO_TARGET_DIR)/release/mihari demo --for $(or $(SECONDS),600)s --check

# `make deny`        licences and banned crates (needs cargo-deny)
deny:
	cargo deny check bans licenses sources
