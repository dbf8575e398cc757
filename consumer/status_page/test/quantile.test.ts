import assert from "node:assert/strict";
import { test } from "node:test";
import { distribution, quantile } from "../src/quantile.ts";

const bounds = [1, 2, 4, Infinity];

test("quantiles are those of PromQL's histogram_quantile", () => {
  // What `promtool test rules` gives for histogram_quantile over these cumulative buckets.
  const buckets = { bounds, counts: [2, 6, 10, 10] };
  assert.equal(quantile(0, buckets), 0);
  assert.equal(quantile(0.1, buckets), 0.5);
  assert.equal(quantile(0.2, buckets), 1);
  assert.equal(quantile(0.5, buckets), 1.75);
  assert.equal(quantile(0.9, buckets), 3.5);
  assert.equal(quantile(1, buckets), 4);
});

test("what lies above the last finite bound is that bound", () => {
  assert.equal(quantile(0.99, { bounds, counts: [1, 1, 1, 10] }), 4);
  assert.equal(quantile(0.5, { bounds: [Infinity], counts: [3] }), undefined);
});

test("empty buckets before the observations do not matter", () => {
  assert.equal(quantile(0.5, { bounds, counts: [0, 0, 4, 4] }), 3);
});

test("without observations there is no quantile, and never NaN", () => {
  assert.equal(quantile(0.5, { bounds, counts: [0, 0, 0, 0] }), undefined);
  assert.equal(quantile(0.5, { bounds: [], counts: [] }), undefined);
  assert.equal(quantile(0.5, { bounds, counts: [NaN, NaN, NaN, NaN] }), undefined);
});

test("a first bound that is not positive is its own quantile", () => {
  assert.equal(quantile(0.5, { bounds: [-1, 1, Infinity], counts: [4, 4, 4] }), -1);
});

test("the bars of a distribution hold every observation once", () => {
  const buckets = { bounds: [1, 2, 3, 4, 5, 6, 7, Infinity], counts: [0, 0, 1, 3, 3, 6, 7, 9] };
  const bars = distribution(buckets, 3);
  // Steps are counted from 7: 1, 4, 7, and what lies above.
  assert.deepEqual(bars, [
    { lower: 1, upper: 4, count: 3 },
    { lower: 4, upper: 7, count: 4 },
    { lower: 7, upper: Infinity, count: 2 },
  ]);
  for (const step of [1, 2, 3, 5, 100]) {
    assert.equal(distribution(buckets, step).reduce((sum, bar) => sum + bar.count, 0), 9, `${step}`);
  }
  assert.deepEqual(distribution({ bounds, counts: [0, 0, 0, 0] }), []);
});
