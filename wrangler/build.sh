#!/usr/bin/env bash
# Builds the named Workers (producer, consumer, emitter/example, emitter/otel/example) for workerd, into <worker>/build; a Worker whose sources
# have not changed since its last build is left alone. Needs the environment that setup.sh writes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One hash over everything that goes into a build: a file that is gone changes it, too, and a mere checkout does not.
fingerprint() {
    local sources=(proto telemetry state "$1")
    # The consumer is the one that has nothing to send.
    [ "$1" = consumer ] || sources+=(emitter/src emitter/Cargo.toml)
    [ "$1" != emitter/otel/example ] || sources+=(emitter/otel/src emitter/otel/Cargo.toml)
    {
        find "${sources[@]}" -path "$1/build" -prune -o \
            -type f \( -name '*.rs' -o -name '*.proto' -o -name 'Cargo.toml' -o -name '*.js' -o -name '*.css' -o -name '*.html' \) -print0
        printf '%s\0' Cargo.toml Cargo.lock rust-toolchain.toml wrangler/build.sh wrangler/setup.sh
    } | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

for worker in "$@"; do
    if [ "$worker" = consumer ]; then wrangler/page.sh; fi
    stamp=$worker/build/.sources
    sources=$(fingerprint "$worker")
    if [ -f "$worker/build/index.js" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
        continue
    fi
    echo "build: $worker (the first time takes some minutes)"
    rm -f "$stamp"
    (cd "$worker" && "$WORKER_BUILD" --release)
    [ -f "$worker/build/index.js" ] || { echo "build: worker-build wrote no $worker/build/index.js" >&2; exit 1; }
    echo "$sources" >"$stamp"
done
