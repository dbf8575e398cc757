// The package as a Worker uses it, against a queue that fails: each recording arrives once.

import assert from "node:assert/strict";
import { mock, test } from "node:test";
import { Tributary } from "../src/index.ts";
import { MAX_FAMILIES, MAX_FAMILY_SERIES, MAX_OUTBOX_MESSAGES } from "../src/limits.ts";
import { seriesKey } from "../src/registry.ts";
import { Receiver, fields, integer, nested } from "./decode.ts";

/** A queue binding that delivers to a receiver, and can refuse before or after it took a message. */
class Queue {
  readonly receiver = new Receiver();
  calls = 0;
  refuses: "before" | "after" | undefined;
  async send(body: unknown, options?: { contentType?: string }): Promise<void> {
    assert.equal(options?.contentType, "bytes");
    this.#take([body as Uint8Array]);
  }
  async sendBatch(messages: Iterable<{ body: unknown; contentType?: string }>): Promise<void> {
    const all = [...messages];
    assert.ok(all.every(({ contentType }) => contentType === "bytes"));
    this.#take(all.map(({ body }) => body as Uint8Array));
  }
  #take(bodies: Uint8Array[]): void {
    this.calls += 1;
    if (this.refuses === "before") throw new Error("refused");
    for (const body of bodies) {
      this.receiver.take(body);
      // The runtime detaches what it is given.
      structuredClone(body.buffer, { transfer: [body.buffer as ArrayBuffer] });
    }
    if (this.refuses === "after") throw new Error("the answer was lost");
  }
}

const quiet = () => ["error", "warn"].map((method) => mock.method(console, method as "error", () => {}));
const restore = (mocks: { mock: { restore(): void } }[]) => mocks.forEach(({ mock }) => mock.restore());

test("what requests record is one message, and one that recorded nothing sends nothing", async () => {
  const queue = new Queue();
  const metrics = new Tributary("shop");
  const orders = metrics.counter("shop.orders", { description: "Orders." });
  const open = metrics.upDownCounter("shop.open");
  const ratio = metrics.counter("shop.share", { valueType: "double" });
  const latest = metrics.gauge("shop.latest");
  const items = metrics.histogram("shop.items", { boundaries: [1, 2, 5] });
  const waiting: Promise<unknown>[] = [];
  const context = { waitUntil: (promise: Promise<unknown>) => void waiting.push(promise) };
  const environment = { DELTAS: queue, FLUSH_INTERVAL_MS: "20", OTEL_SERVICE_NAME: "store" };
  metrics.flush(environment, context);
  assert.equal(waiting.length, 0, "nothing to do");
  for (let n = 0; n < 100; n += 1) {
    orders.add();
    orders.add(2, { country: "SE", note: undefined });
    open.add(n % 2 === 0 ? 3 : -2);
    ratio.add(0.25);
    latest.record(n);
    items.record(n % 7, { b: "2", a: "1" });
    items.record(n % 7, { a: "1", b: "2" });
    metrics.flush(environment, context);
  }
  assert.equal(waiting.length, 1, "the first request sends for all");
  await Promise.all(waiting);
  const { receiver } = queue;
  assert.equal(queue.calls, 1);
  assert.deepEqual(
    [receiver.integers, receiver.doubles, receiver.readings],
    [
      new Map([["shop.orders{}", 100], ["shop.orders{country=SE}", 200], ["shop.open{}", 50]]),
      new Map([["shop.share{}", 25]]),
      new Map([["shop.latest{}", 99]]),
    ],
  );
  const under = (low: number, high: number) =>
    2 * Array.from({ length: 100 }, (_, n) => n % 7).filter((value) => low < value && value <= high).length;
  assert.deepEqual(receiver.counts, new Map([["shop.items{a=1,b=2}", [under(-1, 1), under(1, 2), under(2, 5), under(5, 9)]]]));
  assert.deepEqual([receiver.dropped, receiver.service], [0, "store"]);
  metrics.flush(environment, context);
  assert.equal(waiting.length, 1, "all of it was sent");
});

test("each recording counts once whatever the queue does", async () => {
  const mocks = quiet();
  let seed = 1;
  const random = (below: number) => {
    seed = (Math.imul(seed, 48_271) >>> 0) % 2_147_483_647;
    return seed % below;
  };
  const queue = new Queue();
  const metrics = new Tributary("shop");
  const count = metrics.counter("count");
  const values = metrics.histogram("values", { boundaries: [10] });
  const expected = new Map<string, number>();
  let observed = 0;
  // Timers at once: the waits between attempts are not the point.
  const timers = mock.method(globalThis, "setTimeout", (call: () => void, milliseconds: number) =>
    milliseconds > 1_000 ? undefined : void queueMicrotask(call),
  );
  for (let round = 0; round < 300; round += 1) {
    const series = `${random(30)}`;
    const added = random(1_000);
    count.add(added, { series });
    expected.set(`count{series=${series}}`, (expected.get(`count{series=${series}}`) ?? 0) + added);
    values.record(added);
    observed += 1;
    queue.refuses = (["before", "after", undefined] as const)[random(3)];
    if (random(3) === 0) await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  }
  queue.refuses = undefined;
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  timers.mock.restore();
  restore(mocks);
  const { receiver } = queue;
  assert.deepEqual(receiver.integers, expected);
  assert.equal(receiver.counts.get("values{}")!.reduce((sum, n) => sum + n, 0), observed);
  const sequences = [...receiver.sequences].sort((one, other) => one - other);
  assert.deepEqual(sequences, sequences.map((_, at) => at + 1), "no holes");
  assert.ok(sequences.length > 20);
});

test("a queue that is down for long costs no count and no memory without bound", async () => {
  const mocks = quiet();
  const timers = mock.method(globalThis, "setTimeout", (call: () => void, milliseconds: number) =>
    milliseconds > 1_000 ? undefined : void queueMicrotask(call),
  );
  const queue = new Queue();
  queue.refuses = "before";
  const metrics = new Tributary("shop");
  const count = metrics.counter("count");
  for (let n = 0; n < 3 * MAX_OUTBOX_MESSAGES; n += 1) {
    count.add();
    await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  }
  queue.refuses = undefined;
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  timers.mock.restore();
  restore(mocks);
  assert.equal(queue.receiver.integers.get("count{}"), 3 * MAX_OUTBOX_MESSAGES);
  assert.equal(queue.receiver.sequences.size, MAX_OUTBOX_MESSAGES + 1);
});

test("what no series takes is counted, what has no place is the overflow series, and nothing throws", async () => {
  const mocks = quiet();
  const queue = new Queue();
  const metrics = new Tributary("shop");
  const count = metrics.counter("count");
  const values = metrics.histogram("values");
  const circular: Record<string, unknown> = {};
  circular["self"] = circular;
  const wrong = [NaN, Infinity, -1, 0.5, 2 ** 53, "7" as unknown as number];
  wrong.forEach((value) => count.add(value));
  [NaN, -1].forEach((value) => values.record(value));
  count.add(1, { circular } as never);
  count.add(2, { long: "x".repeat(130_000) });
  for (let n = 0; n < MAX_FAMILY_SERIES + 50; n += 1) count.add(1, { n: `${n}` });
  const few = Array.from({ length: MAX_FAMILIES }, (_, n) => metrics.counter(`family_${n}`));
  few.forEach((counter) => counter.add());
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  restore(mocks);
  const { receiver } = queue;
  const invalid = wrong.length + 2 + 1 + 1;
  const limited = 2;
  assert.equal(receiver.dropped, invalid + limited);
  assert.ok(receiver.integers.get("count{otel.metric.overflow=true}")! >= 50);
  const sum = [...receiver.integers].filter(([key]) => key.startsWith("count{")).reduce((sum, [, n]) => sum + n, 0);
  assert.equal(sum, MAX_FAMILY_SERIES + 50);
  assert.ok(receiver.largestBytes <= 120_000);
});

test("a series is its attributes, whatever their order, and no two share one", () => {
  const different = [
    {},
    { a: "1" },
    { a: 1 },
    { a: true },
    { a: ["1"] },
    { a: 1n },
    { a: "1", b: "2" },
    { "a=1,b": "2" },
    { a: '1","b":"2' },
    { "1:a": "1" },
    { aa: "1" },
    { a: "a1" },
    { "11:a": "" },
    { a: '[["a",1]]' },
  ];
  assert.equal(new Set(different.map(seriesKey)).size, different.length);
  const same = [{ a: "1", b: undefined }, { b: null, a: "1" }, { a: "1" }];
  assert.equal(new Set(same.map(seriesKey)).size, 1);
  assert.equal(seriesKey({ a: "1", b: "2" }), seriesKey({ b: "2", a: "1" }));
  assert.equal(seriesKey({ a: undefined }), "");
});

test("an instrument that cannot be does not start", () => {
  const metrics = new Tributary("shop");
  metrics.counter("count");
  for (const name of ["", "1st", "with space", "ü", "x".repeat(256)]) assert.throws(() => metrics.counter(name), TypeError, name);
  assert.throws(() => metrics.gauge("count"), TypeError);
  assert.throws(() => metrics.counter("count", { valueType: "double" }), TypeError);
  for (const boundaries of [[1, 1], [2, 1], [NaN], [1, Infinity], Array.from({ length: 513 }, (_, n) => n)]) {
    assert.throws(() => metrics.histogram("values", { boundaries }), TypeError);
  }
  assert.throws(() => new Tributary(""), TypeError);
  assert.throws(() => new Tributary("ü".repeat(65)), TypeError);
  metrics.counter("count").add();
});

test("a configuration that does not parse is said, and the default in effect", async () => {
  const said: unknown[] = [];
  const error = mock.method(console, "error", (text: unknown) => void said.push(text));
  const warn = mock.method(console, "warn", () => {});
  const queue = new Queue();
  const metrics = new Tributary("shop");
  metrics.counter("count").add();
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "1.5", OTEL_RESOURCE_ATTRIBUTES: "a=1,b" });
  assert.equal(said.length, 2);
  assert.equal(queue.receiver.service, "shop");
  const other = new Tributary("shop");
  other.counter("count").add();
  await other.flushing({ FLUSH_INTERVAL_MS: "0" });
  assert.equal(warn.mock.callCount(), 0, "with one queue it is not said of which");
  restore([error, warn]);
  assert.match(String(said[2]), /1 messages wait for the next request: there is no queue binding DELTAS/);
});

test("several queues take what one of them refuses or is not bound to, and each recording counts once", async () => {
  const said: string[] = [];
  const mocks = ["error", "warn"].map((method) =>
    mock.method(console, method as "error", (text: unknown) => void said.push(String(text))),
  );
  const receiver = new Receiver();
  const taken = new Map<string, Uint8Array[]>();
  const refuses = new Map<string, "before" | "after">();
  const queue = (name: string) => {
    const take = (bodies: Uint8Array[]): void => {
      if (refuses.get(name) === "before") throw new Error("Too Many Requests");
      taken.set(name, [...(taken.get(name) ?? []), ...bodies.map((body) => body.slice())]);
      bodies.forEach((body) => receiver.take(body));
      if (refuses.get(name) === "after") throw new Error("the answer was lost");
    };
    return {
      send: async (body: Uint8Array) => take([body]),
      sendBatch: async (messages: { body: Uint8Array }[]) => take(messages.map(({ body }) => body)),
    };
  };
  const metrics = new Tributary("shop", { binding: "METRICS" });
  const count = metrics.counter("count");
  const names = ["METRICS", "METRICS_1", "METRICS_2"];
  const environment: Record<string, unknown> = { QUEUE_SHARDS: " 3 ", FLUSH_INTERVAL_MS: "0" };
  for (const name of names) environment[name] = queue(name);
  const flush = async () => {
    count.add();
    await metrics.flushing(environment);
  };
  await flush();
  const [home] = [...taken.keys()] as [string];
  const message = fields(taken.get(home)![0]!);
  assert.deepEqual([integer(message, 1), integer(message, 12)], [5, 3]);
  const id = message.get(2)![0] as Uint8Array;
  assert.equal(home, names[Number(Buffer.from(id).readBigUInt64BE(0) % 3n)], "its queue is its ledger's");
  assert.deepEqual(said, []);
  const next = names[(names.indexOf(home) + 1) % 3]!;
  // Its answer is lost: the next one has the message, too.
  refuses.set(home, "after");
  await flush();
  assert.deepEqual(taken.get(next)![0], taken.get(home)![1]);
  assert.deepEqual(said, [`tributary: the queue ${home} fails: the answer was lost`]);
  // While it is avoided it is not asked again, and another that is missing costs a line and no count.
  refuses.set(next, "before");
  delete environment[names[(names.indexOf(home) + 2) % 3]!];
  refuses.delete(home);
  await flush();
  assert.equal(taken.get(home)!.length, 3, "the one that failed longest ago");
  const missing = names[(names.indexOf(home) + 2) % 3]!;
  assert.deepEqual(said.slice(1), [
    `tributary: the queue ${next} fails: Too Many Requests`,
    `tributary: the queue ${missing} fails: there is no queue binding ${missing}`,
  ]);
  await flush();
  mocks.forEach(({ mock }) => mock.restore());
  assert.equal(said.length, 3, "each is said once");
  assert.deepEqual([receiver.integers.get("count{}"), [...receiver.sequences]], [4, [1, 2, 3, 4]]);
});

test("a number of queues that there cannot be is said, and one in effect", async () => {
  for (const [text, shards] of [["0", 0], ["17", 0], ["-1", 0], ["2.0", 0], ["1e1", 0], ["three", 0], ["9".repeat(400), 0], ["", 1], ["1", 1], ["16", 16], [2, 2]] as const) {
    const said: unknown[] = [];
    const error = mock.method(console, "error", (text: unknown) => void said.push(text));
    const warn = mock.method(console, "warn", () => {});
    const taken: Uint8Array[] = [];
    const metrics = new Tributary("shop");
    metrics.counter("count").add();
    const send = async (body: Uint8Array) => void taken.push(body.slice());
    const queues = Object.fromEntries(Array.from({ length: 16 }, (_, n) => [n === 0 ? "DELTAS" : `DELTAS_${n}`, { send }]));
    await metrics.flushing({ ...queues, FLUSH_INTERVAL_MS: "0", QUEUE_SHARDS: text });
    [error, warn].forEach(({ mock }) => mock.restore());
    const message = fields(taken[0]!);
    assert.deepEqual([integer(message, 1), integer(message, 12)], shards > 1 ? [5, shards] : [4, 0], `${text}`);
    const problem = "tributary: QUEUE_SHARDS is not a whole number from 1 to 16; 1 is in effect";
    assert.deepEqual(said, shards === 0 ? [problem] : []);
  }
});

test("a message is of the format that its readers need", async () => {
  const queue = new Queue();
  const taken: Uint8Array[] = [];
  const binding = { send: async (body: Uint8Array) => void taken.push(body.slice()), sendBatch: queue.sendBatch };
  const mocks = quiet();
  const metrics = new Tributary("shop", { binding: "METRICS" });
  const count = metrics.counter("count");
  count.add(NaN);
  await metrics.flushing({ METRICS: binding, FLUSH_INTERVAL_MS: "0" });
  count.add(1);
  await metrics.flushing({ METRICS: binding });
  restore(mocks);
  assert.deepEqual(taken.map((bytes) => integer(fields(bytes), 1)), [2, 4]);
  assert.equal((fields(taken[0]!).get(2)![0] as Uint8Array).length, 16);
  assert.equal(Buffer.from(nested(fields(taken[0]!), 6)[0]!.get(1)![0] as Uint8Array).toString(), "shop");
});
