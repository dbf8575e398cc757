# Everything about Tributary is one of these commands; `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run deploy status rollback destroy redrive import cloud test build chaos bench load otel-load size scale npm lint fmt setup clean

# The tools that setup found or built.
TOOLS := . .run/tools.env;
TARGET := $(or $(CARGO_TARGET_DIR),target)
DEPLOYER = $(TOOLS) cargo build --quiet -p tributary-deployer && exec $(TARGET)/debug/tributary-deployer

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "make run takes PORT=8787 BACKEND_PORT= TRAFFIC=20 (resolves per second, 0: none) STATE=<file> ACCOUNT_ID=demo"
	@echo "CONFIDENCE_CLIENT_SECRET= (the real state and backend), and the Workers' own variables, e.g. FLUSH_INTERVAL_MS=."

run: build ## Run both Workers locally, with a stub backend and demo traffic, until Ctrl-C
	@$(TOOLS) cargo build -p tributary-local
	@$(TOOLS) exec $(TARGET)/debug/tributary-local

deploy: build ## Install into a Cloudflare account, or bring up to date; ARGS=--dry-run only plans (docs/deploy.md)
	@$(DEPLOYER) deploy $(ARGS)

status: setup ## Say what is installed, and how it is
	@$(DEPLOYER) status $(ARGS)

rollback: setup ## Go back to the deploy before
	@$(DEPLOYER) rollback $(ARGS)

destroy: setup ## Take an installation out again; ARGS=--keep-data leaves KV
	@$(DEPLOYER) destroy $(ARGS)

redrive: setup ## Send dead letters back to the queue: URL= TOKEN= (default: the local installation), REASON=, LIMIT=
	@$(TOOLS) cargo run --quiet -p tributary-local -- redrive

import: setup ## Go on from what Spotify's resolver counted: FROM= URL= METRICS_TOKEN= ARGS= (docs/migration.md)
	@$(DEPLOYER) import-snapshot $(FROM) $(if $(URL),--url $(URL)) $(ARGS)

cloud: setup ## A Cloudflare of your own on loopback, to try make deploy without an account (CLOUD= PORT= WORKERS_PORT=)
	@$(TOOLS) cargo build --quiet -p tributary-tests --bin fake-cloudflare
	@$(TOOLS) exec $(TARGET)/debug/fake-cloudflare --folder "$(or $(CLOUD),.run/cloud)" --port "$(or $(PORT),0)" \
		--workers-port "$(or $(WORKERS_PORT),0)"

test: build ## Run all tests: native, then end to end in workerd
	@$(TOOLS) wrangler/build.sh emitter/example emitter/otel/example
	@$(TOOLS) wrangler/npm.sh
	@$(TOOLS) wrangler/test.sh

build: setup ## Build both Workers (only what changed)
	@$(TOOLS) wrangler/build.sh producer consumer

chaos: build ## Put the consumer under fire for MINUTES=5 and compare with an oracle (SEED= replays a run)
	@$(TOOLS) cargo run -p tributary-tests --bin chaos

BENCH ?= custom growth peer scrape touched
# A scrape needs the consumer's build; the others are native.
bench: $(if $(filter scrape,$(BENCH)),build,setup) ## Measure against the confidence_resolver crate, growth, and scrapes in workerd (BENCH="peer growth"; COUNTED=1 with BENCH=peer times nothing; UPDATE_DOCS=1 renews docs/performance.md)
	@$(TOOLS) cargo bench -p tributary-tests --no-default-features $(addprefix --bench ,$(BENCH)) $(if $(COUNTED),-- --instructions)

scale: setup ## Simulate loads up to 10^6 resolves a second, and outages, and renew docs/scale.md (some minutes; RUN= prints one run)
	@$(TOOLS) cargo test --profile bench -p tributary-tests --no-default-features --test scale -- --ignored --nocapture

load: build ## Measure in workerd what the pipeline costs, the queue's way into the Ledger, and scrapes (SECONDS=180)
	@$(TOOLS) wrangler/build.sh producer+without-pipeline
	@$(TOOLS) SECONDS=$(or $(SECONDS),180) cargo run --quiet -p tributary-tests --bin load
	@$(TOOLS) cargo bench -p tributary-tests --no-default-features --bench scrape

otel-load: setup ## Measure in workerd what a Worker pays to record with OpenTelemetry, beside one POST an invocation (SECONDS=180)
	@$(TOOLS) wrangler/build.sh tests/otel
	@$(TOOLS) wrangler/npm.sh
	@$(TOOLS) SECONDS=$(or $(SECONDS),180) cargo run --quiet -p tributary-tests --bin load -- otel

size: build ## Say what takes the space of each Worker
	@$(TOOLS) wrangler/build.sh emitter/example tests/floor
	@for worker in producer consumer emitter/example tests/floor; do \
		python3 wrangler/size.py "$$worker" ".run/names/$${worker//\//-}.wasm" "$$worker/build/index_bg.wasm"; done

npm: setup ## Build the npm package for Workers in TypeScript (docs/otel.md)
	@$(TOOLS) wrangler/npm.sh && cd emitter/npm && npm pack --silent --ignore-scripts >/dev/null && ls "$$PWD"/*.tgz

lint: setup ## Check format, clippy (host and wasm), docs
	@$(TOOLS) wrangler/lint.sh

fmt: setup ## Format the code
	@$(TOOLS) cargo fmt --all

setup: ## Install what is missing (Rust target, worker-build, wasm-bindgen, protoc, npm tools)
	@wrangler/setup.sh

clean: ## Remove builds, local state and logs
	rm -rf .run producer/build producer/build-* consumer/build emitter/example/build emitter/otel/example/build \
		emitter/npm/dist emitter/npm/example/build tests/floor/build tests/otel/build "$(TARGET)"
