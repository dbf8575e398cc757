#!/usr/bin/env bash
# Bundles the status page's script and style into consumer/status_page/dist, which the consumer's Worker includes; says
# so where they pass the size that the page allows itself. Needs the environment that setup.sh writes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/../consumer/status_page"
max_gzipped_bytes=60000

# Both at once: a build that is interrupted leaves no half of a page.
new=dist.$$
trap 'rm -rf "$new"' EXIT
# uPlot's licence asks to go where the code goes.
modules=../../wrangler/node_modules
licence="/*! uPlot: $(<"$modules/uplot/LICENSE") */"
NODE_PATH=$modules "$ESBUILD_BIN" src/main.ts src/app.css --bundle --minify --format=esm \
    --target=es2022 --charset=utf8 --banner:js="$licence" --entry-names=[name] --outdir="$new" --log-level=warning
mv "$new/main.js" "$new/app.js"

bytes=0
for file in page.html "$new/app.js" "$new/app.css"; do
    bytes=$((bytes + $(gzip -9 <"$file" | wc -c)))
done
[ "$bytes" -le "$max_gzipped_bytes" ] || { echo "page: $bytes bytes gzipped, more than $max_gzipped_bytes" >&2; exit 1; }

# Files that did not change keep their time, so that nothing is built anew for nothing.
mkdir -p dist
for file in app.js app.css; do
    cmp -s "$new/$file" "dist/$file" || mv "$new/$file" "dist/$file"
done
