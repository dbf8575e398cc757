// The stream: windows, sequences, an outbox that keeps what was not sent. The queue fails as queues do.

import assert from "node:assert/strict";
import { test } from "node:test";
import { Flusher, type Collected } from "../src/flusher.ts";
import { IN_FLIGHT_MS, LEASE_GRACE_MS, MAX_OUTBOX_MESSAGES } from "../src/limits.ts";
import { batches, type Outgoing } from "../src/outbox.ts";
import { fields, integer, nested, one } from "./decode.ts";

const flusher = () => new Flusher({ streamId: new Uint8Array(16).fill(7), ledgers: 1, name: "shop" });
const points = (...sizes: number[]): Collected => ({
  resourceMetrics: sizes.map((size) => new Uint8Array(size).fill(1)),
  invalid: 0,
  limited: 0,
});

test("the first push of a window is its flusher until its lease ends, whatever the clock does", () => {
  const stream = flusher();
  assert.deepEqual(stream.push(1_000, 0), { lease: undefined }, "an interval of 0 sends at once");
  assert.deepEqual(stream.push(1_000, 500), { lease: 1 });
  assert.equal(stream.push(1_400, 500), "follower");
  assert.equal(stream.push(1_500 + LEASE_GRACE_MS, 500), "follower");
  assert.deepEqual(stream.push(1_501 + LEASE_GRACE_MS, 500), { lease: 2 }, "the first one was cut off");
  stream.seal(9_000, 1);
  assert.equal(stream.push(7_000, 500), "follower", "another's lease is not given up");
  assert.deepEqual(stream.push(500, 500), { lease: 3 }, "a clock that was set back does not hold a lease for ever");
  stream.seal(1_000, 3);
  assert.deepEqual(stream.push(1_100, 500), { lease: 4 });
});

test("sealed messages are numbered without holes and say their window and what was dropped once", () => {
  const stream = flusher();
  stream.push(1_000, 500);
  stream.addPoints({ ...points(10, 20), invalid: 2 });
  stream.addPoints({ ...points(), invalid: 1, limited: 5 });
  assert.deepEqual(stream.seal(2_000, undefined), { messages: 2, heldBack: false });
  const { messages } = stream.take(2_000);
  const [first, second] = messages.map(({ bytes }) => fields(bytes));
  assert.deepEqual([integer(first!, 3), integer(second!, 3)], [1, 2]);
  assert.deepEqual([integer(first!, 1), integer(first!, 4), integer(first!, 5)], [4, 1_000, 2_000]);
  assert.deepEqual(
    nested(first!, 8).map((dropped) => [integer(dropped, 1), integer(dropped, 3)]),
    [[3, 3], [4, 5]],
  );
  assert.equal(nested(second!, 8).length, 0);
  assert.deepEqual([first, second].map((message) => (one(message!, 9) as Uint8Array).length), [10, 20]);
  assert.deepEqual(stream.seal(3_000, undefined), { messages: 0, heldBack: false }, "nothing is no message");
  assert.equal(stream.lastSequence, 2);
});

test("what is not confirmed is sent again with its bytes, by one at a time", () => {
  const stream = flusher();
  stream.addPoints(points(10));
  stream.seal(1_000, undefined);
  const first = stream.take(1_000);
  assert.equal(stream.take(1_000).messages.length, 0, "it is being sent");
  const second = stream.take(1_000 + IN_FLIGHT_MS);
  assert.deepEqual(second.messages[0]!.bytes, first.messages[0]!.bytes, "the first one was cut off");
  stream.outbox.release(first.id, [1]);
  assert.equal(stream.take(1_000 + IN_FLIGHT_MS).messages.length, 0, "the second one's hold stays");
  stream.outbox.release(second.id, [1]);
  assert.equal(stream.take(1_000 + IN_FLIGHT_MS).messages.length, 1);
  stream.outbox.confirm([1]);
  assert.equal(stream.outbox.size, 0);
});

test("while the outbox is full nothing is asked for, and what was given stays", () => {
  const stream = flusher();
  stream.addPoints(points(...new Array(MAX_OUTBOX_MESSAGES + 3).fill(10)));
  assert.equal(stream.wantsPoints, false);
  assert.deepEqual(stream.seal(1_000, undefined), { messages: MAX_OUTBOX_MESSAGES, heldBack: false });
  assert.deepEqual(stream.seal(2_000, undefined), { messages: 0, heldBack: true });
  stream.outbox.confirm([1, 2]);
  assert.equal(stream.seal(3_000, undefined).messages, 2);
  assert.equal(stream.wantsPoints, false);
  stream.outbox.confirm([3, 4]);
  assert.equal(stream.seal(4_000, undefined).messages, 1);
  assert.deepEqual([stream.isEmpty, stream.wantsPoints, stream.lastSequence], [true, true, MAX_OUTBOX_MESSAGES + 3]);
});

test("points that fit no message are counted", () => {
  const stream = flusher();
  stream.addPoints(points(119_489, 119_488));
  assert.equal(stream.seal(1_000, undefined).messages, 1);
  const message = fields(stream.take(1_000).messages[0]!.bytes);
  assert.deepEqual(nested(message, 8).map((dropped) => [integer(dropped, 1), integer(dropped, 3)]), [[3, 1]]);
});

const message = (sequence: number, bytes: number): Outgoing => ({ sequence, bytes: new Uint8Array(bytes) });

test("batches keep order and both bounds", () => {
  const sizes = [60, 40, 1, 500, 1].map((bytes, at) => message(at + 1, bytes));
  const sequences = (groups: Outgoing[][]) => groups.map((group) => group.map(({ sequence }) => sequence));
  assert.deepEqual(sequences(batches(sizes, 100, 100)), [[1, 2], [3], [4], [5]]);
  assert.deepEqual(batches(Array.from({ length: 250 }, (_, at) => message(at, 0)), 100, 100).map((batch) => batch.length), [100, 100, 50]);
});
