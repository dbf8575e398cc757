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
# What the Workers are made of, for the target that they run on.
step cargo clippy --target wasm32-unknown-unknown \
    -p tributary-proto -p tributary-telemetry -p tributary-emitter -p tributary-example -p tributary-producer \
    -p tributary-consumer -- -D warnings
RUSTDOCFLAGS='-D warnings' step cargo doc --workspace --no-deps
