#!/usr/bin/env bash
# Sets up what the build and the local installation need, and nothing twice:
#
#   the pinned Rust toolchain with its wasm32 target; worker-build, wasm-bindgen and protox (a protoc in Rust, which
#   carries the well-known types) in a folder per user, TRIBUTARY_TOOLS; the npm tools in wrangler/node_modules; for
#   the tests the reference parsers of the text formats, the official message types of OTLP, and two collectors.
#
# It ends by writing .run/tools.env: the variables with which cargo and worker-build find these tools. The Makefile
# reads it; a shell can too: `. .run/tools.env`.
set -euo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
repository=$PWD
tools=${TRIBUTARY_TOOLS:-${XDG_CACHE_HOME:-$HOME/.cache}/tributary}
npm_folder=$repository/wrangler
env_file=$repository/.run/tools.env

worker_build_version=0.8.7
protox_version=0.10.0
prometheus_client_version=0.26.0
opentelemetry_proto_version=1.45.2
protobuf_version=7.36.2
rotel_version=0.0.1a15
# worker-build needs the wasm-bindgen command in exactly the version of the library.
wasm_bindgen_version=$(sed -n '/^name = "wasm-bindgen"$/{n;s/^version = "\(.*\)"$/\1/p;}' Cargo.lock)
toolchain=$(sed -n 's/^channel = "\(.*\)"$/\1/p' rust-toolchain.toml)
target=wasm32-unknown-unknown

say() { printf 'setup: %s\n' "$*"; }
# What is missing, and the one line that mends it.
fail() { printf 'setup: %s\nsetup: mend it with:  %s\n' "$1" "$2" >&2; exit 1; }
has() { command -v "$1" >/dev/null 2>&1; }

need() { # need <command> <Debian package>
    has "$1" || fail "$1 is missing" "${3:-sudo apt-get install -y $2}"
}

[ -n "$wasm_bindgen_version" ] || fail "Cargo.lock names no wasm-bindgen" "git checkout Cargo.lock"
[ -n "$toolchain" ] || fail "rust-toolchain.toml names no channel" "git checkout rust-toolchain.toml"

need cc build-essential
need make make
need git git
need python3 python3
need node nodejs
need npm npm
has rustup || [ ! -x "$HOME/.cargo/bin/rustup" ] || PATH=$HOME/.cargo/bin:$PATH
need rustup rustup "sudo apt-get install -y rustup   (or see rustup.rs)"

node_major=$(node -p 'process.versions.node.split(".")[0]')
[ "$node_major" -ge 18 ] || fail "node $(node --version) is too old to install the npm tools" "sudo apt-get install -y nodejs npm   (18 or later)"

# --- Rust ---------------------------------------------------------------------------------------------------------

# rust-toolchain.toml alone installs nothing where RUSTUP_AUTO_INSTALL=0 is set, so both are asked for by name.
sysroot=$(RUSTUP_AUTO_INSTALL=0 RUSTUP_TOOLCHAIN=$toolchain rustc --print sysroot 2>/dev/null || true)
has_component() { RUSTUP_TOOLCHAIN=$toolchain "$1" --version >/dev/null 2>&1; }
if [ -z "$sysroot" ] || ! has_component cargo-clippy || ! has_component rustfmt; then
    say "installing Rust $toolchain with clippy and rustfmt"
    rustup toolchain install "$toolchain" --profile minimal -c clippy -c rustfmt --no-self-update \
        || fail "Rust $toolchain could not be installed" "rustup toolchain install $toolchain --profile minimal -c clippy -c rustfmt"
    sysroot=$(RUSTUP_TOOLCHAIN=$toolchain rustc --print sysroot)
fi
if [ ! -d "$sysroot/lib/rustlib/$target" ]; then
    say "adding the target $target to Rust $toolchain"
    rustup target add "$target" --toolchain "$toolchain" \
        || fail "the target $target could not be added" "rustup target add $target --toolchain $toolchain"
fi

# --- Programs from crates.io ----------------------------------------------------------------------------------------

# tool <command> <version> <crate> [cargo install options …]: sets `found` to a program of exactly this version: the one
# in TRIBUTARY_TOOLS, else one on the PATH, else a new one in TRIBUTARY_TOOLS.
build=$tools/build-$$ # Per run, so that two runs do not meet.
trap 'rm -rf "$build"' EXIT
tool() {
    local command=$1 version=$2 crate=$3 root=$tools/$3-$2
    shift 3
    found=$root/bin/$command
    [ -x "$found" ] && return
    local on_path
    on_path=$(command -v "$command" || true)
    if [ -n "$on_path" ] && [ "$("$on_path" --version 2>/dev/null | awk '{print $NF}')" = "$version" ]; then
        found=$on_path
        return
    fi
    say "building $crate $version (once; this takes some minutes)"
    mkdir -p "$tools"
    # Not from inside the checkout: its rust-toolchain.toml and lints are not for this crate.
    if ! (cd "$tools" && env -u RUSTFLAGS RUSTUP_TOOLCHAIN="$toolchain" CARGO_TARGET_DIR="$build" \
        cargo install "$crate" --version "$version" --locked --root "$root" "$@"); then
        fail "$crate $version could not be built" "cargo install $crate --version $version --locked --root $root $*"
    fi
    [ -x "$found" ] || fail "$crate $version came without the program $command" "rm -rf $root && make setup"
}

tool worker-build "$worker_build_version" worker-build
worker_build=$found
tool wasm-bindgen "$wasm_bindgen_version" wasm-bindgen-cli
wasm_bindgen=$found
tool protox "$protox_version" protox --features bin
protox=$found

# --- Programs from npm ----------------------------------------------------------------------------------------------

installed=$npm_folder/node_modules/.tributary-installed
if ! cmp -s "$npm_folder/package-lock.json" "$installed"; then
    say "installing the npm tools (wrangler, workerd, esbuild, wasm-opt, node 22)"
    rm -f "$installed"
    (cd "$npm_folder" && npm ci --no-audit --no-fund --loglevel=error) \
        || fail "the npm tools could not be installed" "cd wrangler && npm ci"
    cp "$npm_folder/package-lock.json" "$installed"
fi
bin=$npm_folder/node_modules/.bin
# The lock holds node 22 for Linux and Intel Macs; elsewhere the system's must do.
node=$bin/node
[ -x "$node" ] || node=$(command -v node)
"$node" -e 'const [a, b] = process.versions.node.split("."); process.exit(a > 22 || (a == 22 && b >= 12) ? 0 : 1)' \
    || fail "wrangler needs node 22.12 or later, this is $("$node" --version)" "install node 22 (nodejs.org), then make setup"

# --- From PyPI, for the conformance checks ---------------------------------------------------------------------------

# Nothing that runs needs these: without pip those checks are skipped, loudly.
python_package() { # python_package <folder below the tools> <what it then holds> <package==version …>
    local folder=$tools/$1 holds=$2
    shift 2
    [ -e "$folder/$holds" ] && return
    say "installing $*"
    python3 -m pip install --quiet --disable-pip-version-check --root-user-action ignore --no-deps \
        --target "$folder" "$@" \
        || say "without it its checks are skipped in make test; get pip with:  sudo apt-get install -y python3-pip"
}
# The reference parsers of both text formats.
prometheus_client=prometheus_client-$prometheus_client_version
python_package "$prometheus_client" prometheus_client "prometheus_client==$prometheus_client_version"
# The official message types of OTLP.
opentelemetry_proto=opentelemetry_proto-$opentelemetry_proto_version
python_package "$opentelemetry_proto" opentelemetry/proto \
    "opentelemetry-proto==$opentelemetry_proto_version" "protobuf==$protobuf_version"
# A collector; its wheel holds the program.
python_package "rotel-$rotel_version" rotel/rotel-agent "rotel==$rotel_version"

# --- From Go's modules, for the conformance checks --------------------------------------------------------------------

# Optional: without Go, or the one that go.mod wants, the check is skipped, loudly.
go_program() { # go_program <name> <what is said of it>: from tests/<name>, says where it is
    local source=tests/$1
    local program
    program=$tools/$1-$(cat "$source/main.go" "$source/go.sum" | sha256sum | cut -c1-16)/$1
    if [ ! -x "$program" ] && has go; then
        say "building $2" >&2
        (cd "$source" && GOFLAGS=-mod=readonly nice go build -trimpath -buildvcs=false -ldflags='-s -w' -o "$program" .) >&2 \
            || say "without it its check is skipped in make test; go.mod says which Go it needs, this is $(go env GOVERSION)" >&2
    fi
    echo "$program"
}
# The OpenTelemetry Collector, with the parts that the tests use.
collector=$(go_program otelcol "the OpenTelemetry Collector (once; this takes some minutes)")
# What Prometheus itself reads the protobuf format with; takes seconds.
promread=$(go_program promread "a reader from Prometheus' own parser")

# --- Where they are -------------------------------------------------------------------------------------------------

quoted() { printf "'%s'" "${1//\'/\'\\\'\'}"; }
mkdir -p "$(dirname "$env_file")"
new=$env_file.$$
{
    echo "# Written by wrangler/setup.sh; do not edit."
    echo "export PROTOC=$(quoted "$protox")"
    echo "export WORKER_BUILD=$(quoted "$worker_build")"
    echo "export WASM_BINDGEN_BIN=$(quoted "$wasm_bindgen")"
    echo "export ESBUILD_BIN=$(quoted "$bin/esbuild")"
    echo "export WASM_OPT_BIN=$(quoted "$bin/wasm-opt")"
    echo "export RUSTUP_TOOLCHAIN=$(quoted "$toolchain")"
    echo "export PYTHONPATH=$(quoted "$tools/$prometheus_client:$tools/$opentelemetry_proto")"
    echo "export ROTEL_AGENT=$(quoted "$tools/rotel-$rotel_version/rotel/rotel-agent")"
    echo "export OTELCOL=$(quoted "$collector")"
    echo "export PROMREAD=$(quoted "$promread")"
    # node 22 first; cargo where rustup put it.
    echo "export PATH=$(quoted "$bin"):$(quoted "$(dirname "$(command -v rustup)")"):\"\$PATH\""
} >"$new"
if cmp -s "$new" "$env_file"; then rm -f "$new"; else mv "$new" "$env_file"; fi
