#!/usr/bin/env bash
# Runs every fuzz target for some seconds each: fuzz/run.sh [seconds, default 6] [target …]
#
# With nightly Rust and cargo-fuzz: libFuzzer, guided by coverage, with AddressSanitizer. Else, on the pinned toolchain:
# the same targets replay the corpus and run blind mutations of it from a seed (FUZZ_SEED=, default 1).
# FUZZ_ENGINE=libfuzzer or replay insists on one of them. What libFuzzer finds new stays out of the checked-in corpus.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")"
seconds=${1:-6}
[ $# -eq 0 ] || shift
[[ $seconds =~ ^[0-9]+$ ]] && [ "$seconds" -gt 0 ] || { echo "usage: fuzz/run.sh [seconds] [target …]" >&2; exit 2; }
targets=("$@")
[ $# -gt 0 ] || for file in fuzz_targets/*.rs; do
    name=${file##*/}
    targets+=("${name%.rs}")
done

has_libfuzzer() {
    command -v rustup >/dev/null && rustup run nightly rustc --version >/dev/null 2>&1 \
        && command -v cargo-fuzz >/dev/null && command -v c++ >/dev/null
}

engine=${FUZZ_ENGINE:-}
if [ -z "$engine" ]; then
    if has_libfuzzer; then engine=libfuzzer; else engine=replay; fi
fi

case $engine in
libfuzzer)
    has_libfuzzer || { echo "fuzz: no nightly Rust, cargo-fuzz or C++ compiler" >&2; exit 2; }
    echo "== fuzz: libFuzzer with AddressSanitizer ($(rustup run nightly rustc --version)), $seconds s a target"
    export RUSTUP_TOOLCHAIN=nightly
    cargo fuzz build --fuzz-dir . --features libfuzzer
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
    for target in "${targets[@]}"; do
        mkdir -p "$work/$target"
        options=(-max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 -max_len=8192 -print_final_stats=0 -verbosity=0)
        if [ -f "dictionaries/$target.dict" ]; then options+=(-dict="dictionaries/$target.dict"); fi
        # What is found goes to the first folder; the second, the checked-in corpus, is only read.
        if cargo fuzz run --fuzz-dir . --features libfuzzer "$target" "$work/$target" "corpus/$target" -- "${options[@]}" \
            >"$work/$target.log" 2>&1; then
            echo "$target: no finding, $(find "$work/$target" -type f | wc -l) inputs of new coverage"
        else
            cat "$work/$target.log" >&2
            echo "fuzz: $target has a finding, see fuzz/artifacts/$target" >&2
            exit 1
        fi
    done
    ;;
replay)
    echo "== fuzz: replay and blind mutations, without coverage ($(rustc --version)), $seconds s a target"
    cargo run --quiet --release --locked --bin replay -- --seconds "$seconds" --seed "${FUZZ_SEED:-1}" "${targets[@]}"
    ;;
*)
    echo "fuzz: FUZZ_ENGINE is libfuzzer or replay" >&2
    exit 2
    ;;
esac
