#!/usr/bin/env bash
# Builds the named Workers (producer, consumer, emitter/example, emitter/otel/example, tests/floor, tests/otel) for workerd, into
# <worker>/build; a Worker whose sources have not changed since its last build is left alone. `<worker>+<feature>` builds it with a feature of its
# crate, into <worker>/build-<feature>, for a measurement. Needs the environment that setup.sh writes.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."

# One hash over everything that goes into a build: a file that is gone changes it, too, and a mere checkout does not.
fingerprint() {
    local sources=(proto telemetry state "$1")
    # The consumer is the one that has nothing to send.
    [ "$1" = consumer ] || sources+=(emitter/src emitter/Cargo.toml)
    case $1 in emitter/otel/example | tests/otel) sources+=(emitter/otel/src emitter/otel/Cargo.toml) ;; esac
    {
        find "${sources[@]}" \( -path "$1/build" -o -path "$1/build-*" \) -prune -o \
            -type f \( -name '*.rs' -o -name '*.proto' -o -name 'Cargo.toml' -o -name '*.js' -o -name '*.css' -o -name '*.html' \) -print0
        printf '%s\0' Cargo.toml Cargo.lock rust-toolchain.toml wrangler/build.sh wrangler/setup.sh
    } | LC_ALL=C sort -z | xargs -0 sha256sum | sha256sum | cut -d' ' -f1
}

# What worker-build lets wasm-opt take for granted.
features=(--enable-mutable-globals --enable-sign-ext --enable-nontrapping-float-to-int --enable-bulk-memory
    --enable-multivalue --enable-reference-types --enable-exception-handling)
for name in "$@"; do
    worker=${name%+*}
    folder=build options=()
    case $name in *+*) folder=build-${name#*+} options=(-- --features "${name#*+}") ;; esac
    if [ "$worker" = consumer ]; then wrangler/page.sh; fi
    stamp=$worker/$folder/.sources
    sources=$(fingerprint "$worker")
    if [ -f "$worker/$folder/index.js" ] && [ "$(cat "$stamp" 2>/dev/null)" = "$sources" ]; then
        continue
    fi
    echo "build: $name (the first time takes some minutes)"
    rm -f "$stamp"
    (cd "$worker" && "$WORKER_BUILD" --release --out-dir "$folder" ${options[@]+"${options[@]}"})
    [ -f "$worker/$folder/index.js" ] || { echo "build: worker-build wrote no $worker/$folder/index.js" >&2; exit 1; }
    # worker-build keeps the names of all functions, a tenth of the gzipped Worker. They stay here: for wrangler/size.py, and
    # for who has to read a stack trace.
    wasm=$worker/$folder/index_bg.wasm names=.run/names/${name//\//-}.wasm
    mkdir -p .run/names
    cp "$wasm" "$names"
    "$WASM_OPT_BIN" "$names" -o "$wasm" --strip-debug "${features[@]}"
    echo "build: $name has $(gzip -9 <"$wasm" | wc -c) bytes of gzipped wasm"
    echo "$sources" >"$stamp"
done
