#!/usr/bin/env bash
# Builds the npm package in emitter/npm, and bundles its example with wrangler as `wrangler deploy` would, into
# emitter/npm/example/build. Needs the environment that setup.sh writes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../emitter/npm"

rm -rf dist
tsc -p tsconfig.build.json
# What is bundled is kept if it is what is there already: wrangler takes some seconds.
sources=$(find dist example/src example/*.json example/*.toml ../../wrangler/package-lock.json -type f -print0 \
    | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1)
[ "$(cat example/build/.sources 2>/dev/null)" != "$sources" ] || exit 0
log=$(mktemp)
trap 'rm -f "$log"' EXIT
rm -rf example/build
(cd example && CI=1 WRANGLER_SEND_METRICS=false wrangler deploy --dry-run --tsconfig tsconfig.bundle.json --outdir build >"$log" 2>&1) \
    || { cat "$log" >&2; exit 1; }
echo "$sources" >example/build/.sources
