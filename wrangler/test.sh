#!/usr/bin/env bash
# Runs the native tests, then the end to end tests in workerd, and sums both up. Needs the environment that setup.sh
# writes, both Workers built, and the examples of Workers with metrics of their own.
set -uo pipefail

cd "$(dirname "${BASH_SOURCE[0]}")/.."
log=.run/test.log
mkdir -p .run
: >"$log"
failed=()

suite() { # suite <name> <command …>
    local name=$1
    shift
    echo "== $name: $*" | tee -a "$log"
    "$@" 2>&1 </dev/null | tee -a "$log"
    [ "${PIPESTATUS[0]}" -eq 0 ] || failed+=("$name")
}

# --no-fail-fast: one run shows all that is wrong.
suite "native tests" cargo test --workspace --exclude tributary-tests --no-fail-fast
suite "status page tests" node --test --test-reporter=spec consumer/status_page/test/*.test.ts
suite "npm package tests" node --test --test-reporter=spec emitter/npm/test/*.test.ts
suite "end to end tests in workerd" cargo test -p tributary-tests --no-fail-fast

echo
echo "== summary (the whole output is in $log)"
if ! command -v prometheus >/dev/null 2>&1; then
    echo "SKIPPED: a real Prometheus scrapes /metrics, and checks dashboard, alerts and scrape examples; get it with:  sudo apt-get install -y prometheus"
fi
if ! command -v chromium >/dev/null 2>&1; then
    echo "SKIPPED: the check of the status page in a browser; get it with:  sudo apt-get install -y chromium"
fi
# Cargo hides what a test that passed says, so what was skipped is asked here again.
python3 -c 'import prometheus_client' 2>/dev/null \
    || echo "SKIPPED: the reference parsers of the text formats; get pip with:  sudo apt-get install -y python3-pip"
python3 -c 'import opentelemetry.proto.collector.metrics.v1.metrics_service_pb2' 2>/dev/null \
    || echo "SKIPPED: the official OTLP message types; get pip with:  sudo apt-get install -y python3-pip"
[ -x "${ROTEL_AGENT:-}" ] \
    || echo "SKIPPED: a real OTLP collector takes the push; get pip with:  sudo apt-get install -y python3-pip"
[ -x "${OTELCOL:-}" ] \
    || echo "SKIPPED: the OpenTelemetry Collector takes the push and a scrape of it is compared; get Go with:  sudo apt-get install -y golang"
[ -x "${PROMREAD:-}" ] \
    || echo "SKIPPED: Prometheus' own parser reads the protobuf format; get Go with:  sudo apt-get install -y golang"
[ -f ../shared/data/resolver_state_sample.pb ] \
    || echo "SKIPPED: the check on a real resolver state, which is not part of this repository"
grep -hE '^test .* \.\.\. FAILED$' "$log" | sort -u
[ "${#failed[@]}" -eq 0 ] || printf 'FAILED: %s\n' "${failed[@]}"
# In the shape of cargo's own lines, summed over all of them.
awk -v suites="${#failed[@]}" '
    /^test result:/ { for (i = 4; i < NF; i++) { if ($(i+1) ~ /^passed/) p += $i; if ($(i+1) ~ /^failed/) f += $i; if ($(i+1) ~ /^ignored/) g += $i } }
    END {
        ok = suites == 0 && f == 0 && p > 0
        printf "test result: %s. %d passed; %d failed; %d ignored\n", ok ? "ok" : "FAILED", p, f, g
        exit !ok
    }' "$log"
