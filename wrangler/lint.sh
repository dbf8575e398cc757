#!/usr/bin/env bash
# Format, clippy for both targets, docs: all without a warning. Needs the environment that setup.sh writes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
step() { echo "== $*"; "$@"; }

step cargo fmt --all --check
step cargo clippy --workspace --all-targets -- -D warnings
# The consumer's Worker includes the bundle of its page.
step wrangler/page.sh
step tsc -p consumer/status_page
# The npm package, its tests and benches, and the example that stands on it.
step tsc -p emitter/npm
step tsc -p emitter/npm/tsconfig.test.json
step wrangler/npm.sh
step tsc -p emitter/npm/example
# What the Workers are made of, for the target that they run on.
step cargo clippy --target wasm32-unknown-unknown \
    -p tributary-proto -p tributary-telemetry -p tributary-state -p tributary-emitter -p tributary-example \
    -p tributary-otel -p tributary-otel-example \
    -p tributary-producer -p tributary-consumer -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --workspace --no-deps
