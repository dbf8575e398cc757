import assert from "node:assert/strict";
import { test } from "node:test";
import { charts } from "../src/charts.ts";
import { parse } from "../src/exposition.ts";
import * as format from "../src/format.ts";
import { banner, freshness } from "../src/health.ts";
import { History } from "../src/history.ts";
import { pauseAfter } from "../src/poll.ts";
import { buckets, read, sum, sumBy } from "../src/reading.ts";
import { tables } from "../src/tables.ts";
import { tiles } from "../src/tiles.ts";
import { text as versions } from "../src/versions.ts";

const scrape = (n: number) => `confidence_resolves_total{reason="RESOLVE_REASON_MATCH",resolver_id="a"} ${n * 30}
confidence_resolves_total{reason="RESOLVE_REASON_MATCH",resolver_id="b"} ${n * 10}
confidence_resolves_total{reason="RESOLVE_REASON_ERROR",resolver_id="a"} ${n * 2}
confidence_resolve_latency_microseconds_bucket{resolver_id="a",le="1.000000e3"} ${n}
confidence_resolve_latency_microseconds_bucket{resolver_id="a",le="+Inf"} ${n}
confidence_resolve_latency_microseconds_bucket{resolver_id="b",le="1.000000e3"} ${n}
confidence_resolve_latency_microseconds_bucket{resolver_id="b",le="+Inf"} ${n}
confidence_resolve_latency_microseconds_count{resolver_id="a"} ${n}
confidence_resolve_latency_microseconds_count{resolver_id="b"} ${n}
tributary_backend_requests_total{destination="edge",outcome="delivered"} ${n}
tributary_backend_requests_total{destination="edge",outcome="refused"} 0
tributary_dead_letters{reason="backend_400"} 2
tributary_dead_letters{reason="protobuf"} 0
tributary_otlp_exports_total{outcome="sent"} 7
`;

function twoScrapes() {
  const history = new History();
  const texts = [scrape(100), scrape(400)];
  const latest = texts.map((text, index) => {
    const exposition = parse(text, false);
    history.push(1000 + 30 * index, text, 1000 + 30 * index, read(exposition));
    return exposition;
  });
  return { history, latest: latest[1]! };
}

test("sums go over all series, also of histograms", () => {
  const exposition = parse(scrape(5), false);
  assert.equal(sum(exposition, "confidence_resolves_total"), 210);
  assert.equal(sum(exposition, "confidence_resolves_total", { resolver_id: "b" }), 50);
  assert.equal(sum(exposition, "absent"), undefined);
  assert.equal(sum(exposition, "confidence_resolves_total", { resolver_id: "c" }), undefined);
  assert.deepEqual([...sumBy(exposition, "confidence_resolves_total", "resolver_id")], [["a", 160], ["b", 50]]);
  assert.deepEqual(buckets(exposition, "confidence_resolve_latency_microseconds"), {
    bounds: [1000, Infinity],
    counts: [10, 10],
  });
});

test("tiles say rates, quantiles and what needs somebody", () => {
  const { history, latest } = twoScrapes();
  const byId = new Map(tiles(history, latest).map((tile) => [tile.id, tile]));
  assert.equal(byId.get("requests")!.value, "20/s");
  assert.equal(byId.get("requests")!.note, "420/s flags");
  assert.deepEqual([byId.get("errors")!.value, byId.get("errors")!.state], ["20/s", "warn"]);
  assert.equal(byId.get("p50")!.value, "500 µs");
  assert.equal(byId.get("backend")!.value, "100 %");
  assert.deepEqual([byId.get("dead")!.value, byId.get("dead")!.state], ["2", "warn"]);
  assert.match(byId.get("dead")!.note, /backend 400/);
});

test("families that are absent are dashes, and nothing is ever NaN, undefined or null", () => {
  const { history, latest } = twoScrapes();
  const empty = parse("", false);
  for (const [past, exposition] of [[new History(), empty], [history, empty], [new History(), latest]] as const) {
    const shown = JSON.stringify([tiles(past, exposition), tables(past, exposition), charts(past, exposition)]);
    const words = shown.replaceAll(/"values":\[[^\]]*\]/g, "");
    assert.doesNotMatch(words, /NaN|undefined|null|Infinity/);
  }
  assert.equal(tiles(new History(), empty).find((tile) => tile.id === "lost")!.value, format.DASH);
  assert.ok(!tables(history, empty).some((table) => table.id === "otlp"));
});

test("tables hold the exact totals, and OTLP where it is there", () => {
  const { history, latest } = twoScrapes();
  const byId = new Map(tables(history, latest).map((table) => [table.id, table]));
  assert.deepEqual(byId.get("flags")!.rows, [["match", "16,000", "400/s"], ["error", "800", "20/s"]]);
  assert.deepEqual(byId.get("otlp")!.rows, [["exports sent", "7"]]);
  assert.deepEqual(byId.get("dead-letters")!.rows, [["backend 400", "2"]]);
});

test("each chart says in its table and in words what it draws", () => {
  const { history, latest } = twoScrapes();
  for (const { options, data } of charts(history, latest)) {
    assert.ok(data.summary.includes(options.title), options.id);
    for (const series of data.series) assert.equal(series.values.length, data.x.length, options.id);
    for (const row of data.table.rows) assert.equal(row.length, data.table.columns.length, options.id);
  }
});

test("the banner says what is wrong, the gravest first, and nothing where all is well", () => {
  const well = { lastRead: 1000, lastNews: 1000, lastApplied: 995 };
  assert.equal(banner(well, 1001).text, "");
  assert.equal(banner({}, 1000).text, "");
  const failing = banner({ ...well, failure: "503: closed" }, 1010);
  assert.equal(failing.level, "problem");
  assert.match(failing.text, /503: closed.*\d\d:\d\d:\d\d/);
  assert.match(banner({ ...well, failure: "x", isSignedOut: true }, 1010).text, /^Signed out/);
  assert.match(banner({ ...well, lastApplied: 0 }, 1001).text, /yet/);
  assert.match(banner({ ...well, lastRead: 1200, lastNews: 1200 }, 1200).text, /^Nothing has been applied/);
  assert.match(banner({ ...well, lastRead: 1200 }, 1200).text, /older/);
  assert.equal(freshness(well, false, 1003), "Live · read 3 s ago, last delta applied 8 s ago");
  assert.match(freshness({ ...well, published: 999 }, false, 1003), /read 3 s ago, published 4 s ago, last/);
  assert.match(freshness({ ...well, failure: "x" }, false, 1003), /^Not live/);
  assert.match(freshness(well, true, 1003), /^Paused/);
});

test("numbers keep their meaning at every size", () => {
  const { count, short, percent, seconds, micros, bytes } = format;
  assert.deepEqual([0, 0.05, 0.5, NaN].map(format.rate), ["0/s", "3/min", "0.5/s", "–"]);
  assert.deepEqual([count(1234567), count(NaN), count(undefined), count(-0.2)], ["1,234,567", "–", "–", "0"]);
  assert.deepEqual([short(0), short(0.01234), short(999.4), short(12345.6)], ["0", "0.0123", "999", "12,346"]);
  assert.deepEqual([percent(0), percent(1), percent(0.99999), percent(0.00001), percent(0.5)], ["0 %", "100 %", "> 99.99 %", "< 0.01 %", "50 %"]);
  assert.deepEqual([seconds(0), seconds(0.9999), seconds(90), seconds(7200)], ["0 s", "1 s", "1.5 min", "2 h"]);
  assert.deepEqual([micros(1), micros(1500), micros(2.5e6), micros(Infinity)], ["1 µs", "1.5 ms", "2.5 s", "–"]);
  assert.deepEqual([bytes(512), bytes(1536), bytes(3 * 2 ** 30)], ["512 B", "1.5 KiB", "3 GiB"]);
  assert.equal(format.words("RESOLVE_REASON_NO_SEGMENT_MATCH"), "no segment match");
});

test("failures are asked about ever more seldom, a minute at most", () => {
  assert.deepEqual([0, 1, 2, 3, 4, 100].map(pauseAfter), [5, 10, 20, 40, 60, 60]);
});

test("versions are one line", () => {
  const deploy = { version: "0.1.0", id: "0123456789ab", deployedAt: "2026-11-22T10:00:00.000Z" };
  assert.equal(versions(undefined), "");
  assert.equal(
    versions({ consumer: deploy, producer: { version: "0.1.1", id: "", deployedAt: "" } }),
    "Producer 0.1.1 · Consumer 0.1.0 (deploy 01234567, 2026-11-22 10:00)",
  );
});
