// The same bytes as the Rust crates, which made the vectors (emitter/otel/tests/vectors.rs).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encodeEnvelope } from "../src/envelope.ts";
import { pack } from "../src/pack.ts";
import { share } from "../src/queues.ts";
import { resource, scopes } from "./otlp_json.ts";

const { vectors, shares } = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function packed(vector: any): Uint8Array[] {
  if (vector.resourceMetrics === null) return [new Uint8Array()];
  const [bytes, points, buckets, written] = vector.bounds;
  const { resourceMetrics } = vector;
  return pack({ bytes, points, buckets, written }, resource(resourceMetrics), scopes(resourceMetrics)).messages;
}

test("there are vectors of everything", () => {
  assert.deepEqual(vectors.map(({ ledgers }: { ledgers: number }) => ledgers), [1, 1, 1, 1, 1, 1, 1, 3, 16]);
  const all = JSON.stringify(vectors);
  for (const part of ["gauge", "sum", "histogram", "exponentialHistogram", "arrayValue", "boolValue", "asInt", "asDouble"]) {
    assert.ok(all.includes(`"${part}":`), part);
  }
});

for (const vector of vectors) {
  test(vector.name, () => {
    const messages = packed(vector).map((resourceMetrics, at) =>
      hex(
        encodeEnvelope({
          streamId: Buffer.from(vector.streamId, "hex"),
          ledgers: vector.ledgers,
          sequence: vector.sequence + at,
          windowStartMs: vector.windowStartMs,
          windowEndMs: vector.windowEndMs,
          name: vector.worker,
          dropped: at > 0 ? [] : vector.dropped.map(([reason, recordings]: number[]) => ({ reason, recordings })),
          resourceMetrics,
        }),
      ),
    );
    assert.deepEqual(messages, vector.messages);
  });
}

test("the share of a stream is the one of the Rust crates, also past 53 bits", () => {
  const wrong = { asNumbers: 0, fromTheEnd: 0 };
  for (const { streamId, count, share: expected } of shares) {
    // At an offset, as the runtime may hand bytes out.
    const id = Buffer.concat([Buffer.from("ff", "hex"), Buffer.from(streamId, "hex")]).subarray(1);
    assert.equal(share(id, count), expected, `${streamId} of ${count}`);
    if (Number(id.readBigUInt64BE(0)) % count !== expected) wrong.asNumbers += 1;
    if (Number(id.readBigUInt64LE(0) % BigInt(count)) !== expected) wrong.fromTheEnd += 1;
  }
  assert.equal(shares.length, 29 * 5);
  assert.ok(wrong.asNumbers > 20 && wrong.fromTheEnd > 20, "the vectors tell a wrong hash");
});
