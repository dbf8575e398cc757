# Everything about Tributary is one of these commands; `make` alone lists them.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
MAKEFLAGS += --no-print-directory
.PHONY: help run redrive test build chaos bench lint fmt setup clean

# The tools that setup found or built.
TOOLS := . .run/tools.env;
TARGET := $(or $(CARGO_TARGET_DIR),target)

help: ## List the commands
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "make run takes PORT=8787 BACKEND_PORT= TRAFFIC=20 (resolves per second, 0: none) STATE=<file> ACCOUNT_ID=demo"
	@echo "CONFIDENCE_CLIENT_SECRET= (the real state and backend), and the Workers' own variables, e.g. FLUSH_INTERVAL_MS=."

run: build ## Run both Workers locally, with a stub backend and demo traffic, until Ctrl-C
	@$(TOOLS) cargo build -p tributary-local
	@$(TOOLS) exec $(TARGET)/debug/tributary-local

redrive: setup ## Send dead letters back to the queue: URL= TOKEN= (default: the local installation), REASON=, LIMIT=
	@$(TOOLS) cargo run --quiet -p tributary-local -- redrive

test: build ## Run all tests: native, then end to end in workerd
	@$(TOOLS) wrangler/build.sh emitter/example
	@$(TOOLS) wrangler/test.sh

build: setup ## Build both Workers (only what changed)
	@$(TOOLS) wrangler/build.sh producer consumer

chaos: build ## Put the consumer under fire for MINUTES=5 and compare with an oracle (SEED= replays a run)
	@$(TOOLS) cargo run -p tributary-tests --bin chaos

bench: build ## Measure against the confidence_resolver crate, and scrapes in workerd
	@$(TOOLS) cargo bench -p tributary-tests

lint: setup ## Check format, clippy (host and wasm), docs
	@$(TOOLS) wrangler/lint.sh

fmt: setup ## Format the code
	@$(TOOLS) cargo fmt --all

setup: ## Install what is missing (Rust target, worker-build, wasm-bindgen, protoc, npm tools)
	@wrangler/setup.sh

clean: ## Remove builds, local state and logs
	rm -rf .run producer/build consumer/build emitter/example/build "$(TARGET)"
