import assert from "node:assert/strict";
import { test } from "node:test";
import { History, KEPT_SECONDS } from "../src/history.ts";
import type { Buckets, Reading } from "../src/reading.ts";

const reading = (n: number, counts?: number[]): Reading => ({
  counters: new Map([["n|a", n]]),
  histograms: new Map(counts ? [["h", { bounds: [1, Infinity], counts } satisfies Buckets]] : []),
});

/** A copy that is published every `every` seconds, of a counter that grows by 10 a second, read every 5 s. */
function readCopies(every: number, until: number): History {
  const history = new History();
  for (let now = 1000; now <= until; now += 5) {
    const published = now - (now % every) - 0.5;
    history.push(now, `copy of ${published}`, published, reading(10 * published));
  }
  return history;
}

test("a steady counter has a steady rate however seldom its copy is published", () => {
  for (const every of [1, 5, 10, 25]) {
    const rates = readCopies(every, 1200).rates("n|a");
    assert.equal(rates[0], null);
    assert.ok(rates.length > 4);
    for (const rate of rates.slice(1)) assert.ok(Math.abs(rate! - 10) < 1e-9, `${every}: ${rate}`);
  }
});

test("a counter that stands still has the rate 0, and its return is no spike", () => {
  const history = readCopies(10, 1100);
  for (let now = 1105; now <= 1400; now += 5) history.push(now, "the same", 1099.5, reading(10_995));
  assert.equal(history.rates("n|a").at(-1), 0);
  history.push(1405, "again", 1404, reading(10_995 + 30));
  const rate = history.rates("n|a").at(-1)!;
  assert.ok(rate > 0 && rate < 3, `${rate}`);
});

test("a counter that began anew goes on where it was", () => {
  const history = new History();
  history.push(100, "1", 100, reading(500, [200, 300]));
  history.push(130, "2", 130, reading(560, [230, 360]));
  history.push(160, "3", 0, reading(30, [5, 30]));
  assert.equal(history.growth("n|a"), 90);
  assert.deepEqual(history.rates("n|a"), [null, 2, 1]);
  assert.deepEqual(history.window("h"), { bounds: [1, Infinity], counts: [35, 90] });
});

test("a copy older than the last one changes nothing", () => {
  const history = new History();
  history.push(100, "new", 99, reading(500));
  assert.equal(history.push(105, "old", 89, reading(400)), "older");
  assert.equal(history.push(110, "newer", 109, reading(600)), "taken");
  assert.deepEqual(history.times, [99, 109]);
  assert.equal(history.rates("n|a").at(-1), 10);
});

test("the same copy again is no news", () => {
  const history = new History();
  assert.equal(history.push(100, "a", 99, reading(1)), "taken");
  assert.equal(history.push(105, "a", 99, reading(1)), "unchanged");
  assert.equal(history.push(135, "a", 99, reading(1)), "taken");
});

test("times grow whatever the clocks say", () => {
  const history = new History();
  const applied = [99, 98.5, 104, undefined, 900, 0, 119, 1];
  for (const [index, at] of applied.entries()) history.push(100 + 5 * index, `${index}`, at, reading(index));
  const times = history.times;
  for (const [index, time] of times.entries()) assert.ok(index === 0 || time > times[index - 1]!, times.join());
});

test("a series that appears counts from 0", () => {
  const history = new History();
  history.push(100, "1", 100, reading(1));
  history.push(130, "2", 130, { counters: new Map([["n|a", 1], ["n|error", 3]]), histograms: new Map() });
  assert.deepEqual(history.rates("n|error"), [null, 0.1]);
  assert.equal(history.growth("n|error"), 3);
  assert.deepEqual(history.labels("n"), ["a", "error"]);
});

test("what is not there has no rate and no window", () => {
  const history = new History();
  assert.deepEqual([history.growth("x|y"), history.window("h"), history.span], [undefined, undefined, 0]);
  history.push(100, "1", 100, reading(1));
  assert.deepEqual([history.growth("x|y"), history.window("h"), history.rates("x|y")], [undefined, undefined, [null]]);
  history.push(130, "2", 130, reading(2, [1, 2]));
  assert.equal(history.window("h"), undefined);
  assert.deepEqual(history.windows("h"), [undefined, undefined]);
});

test("bounds that changed are never subtracted", () => {
  const history = new History();
  const other = { counters: new Map(), histograms: new Map([["h", { bounds: [2, Infinity], counts: [9, 9] }]]) };
  history.push(100, "1", 100, reading(1, [1, 2]));
  history.push(130, "2", 130, other);
  assert.equal(history.window("h"), undefined);
});

test("a quarter of an hour is kept and no more", () => {
  const history = readCopies(5, 1000 + 5 * 1000);
  assert.ok(history.times.length <= KEPT_SECONDS / 5 + 2);
  assert.ok(history.span >= KEPT_SECONDS && history.span <= KEPT_SECONDS + 5);
});
