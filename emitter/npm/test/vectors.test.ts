// The same bytes as the Rust crates, which made the vectors (emitter/otel/tests/vectors.rs).

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { encodeEnvelope } from "../src/envelope.ts";
import { Packer } from "../src/pack.ts";
import { resource, scopes } from "./otlp_json.ts";

const vectors = JSON.parse(readFileSync(new URL("vectors.json", import.meta.url), "utf8"));
const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString("hex");

function pack(vector: any): Uint8Array[] {
  if (vector.resourceMetrics === null) return [new Uint8Array()];
  const [bytes, points, buckets, written] = vector.bounds;
  const packer = new Packer({ bytes, points, buckets, written }, resource(vector.resourceMetrics));
  for (const { scope, metrics } of scopes(vector.resourceMetrics)) {
    packer.scope(scope);
    for (const { head, points } of metrics) {
      packer.metric(head);
      for (const point of points) packer.point(point);
    }
  }
  return packer.finish().messages;
}

test("there are vectors of everything", () => {
  assert.equal(vectors.length, 7);
  const all = JSON.stringify(vectors);
  for (const part of ["gauge", "sum", "histogram", "exponentialHistogram", "arrayValue", "boolValue", "asInt", "asDouble"]) {
    assert.ok(all.includes(`"${part}":`), part);
  }
});

for (const vector of vectors) {
  test(vector.name, () => {
    const messages = pack(vector).map((resourceMetrics, at) =>
      hex(
        encodeEnvelope({
          streamId: Buffer.from(vector.streamId, "hex"),
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
