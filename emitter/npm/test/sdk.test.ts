// OpenTelemetry's SDK as the source. Its own serializer is the oracle of the bytes.

import "./resolve.mjs";
import assert from "node:assert/strict";
import { mock, test } from "node:test";
import type { ResourceMetrics } from "@opentelemetry/sdk-metrics";
import { Receiver, fields, nested, string } from "./decode.ts";

const { AggregationType, MeterProvider } = await import("@opentelemetry/sdk-metrics");
const { resourceFromAttributes } = await import("@opentelemetry/resources");
const { ProtobufMetricsSerializer } = await import("@opentelemetry/otlp-transformer");
const { ValueType } = await import("@opentelemetry/api");
const { Tributary } = await import("../src/index.ts");
const { Converter, OBSERVE_TIMEOUT_MS, TributaryReader } = await import("../src/sdk.ts");
const { pack } = await import("../src/pack.ts");
const { BOUNDS } = await import("../src/registry.ts");

class Queue {
  readonly receiver = new Receiver();
  readonly bodies: Uint8Array[] = [];
  async send(body: Uint8Array): Promise<void> {
    this.bodies.push(body.slice());
    this.receiver.take(body);
  }
  async sendBatch(messages: { body: Uint8Array }[]): Promise<void> {
    for (const { body } of messages) await this.send(body);
  }
}

const exponentialHistogram = { type: AggregationType.EXPONENTIAL_HISTOGRAM, options: { maxSize: 160 } } as const;
const views = [{ instrumentName: "exponential", aggregation: exponentialHistogram }];

test("every kind of instrument arrives as what was added, beside what is recorded without the SDK", async () => {
  const queue = new Queue();
  const environment = { DELTAS: queue, FLUSH_INTERVAL_MS: "0" };
  const metrics = new Tributary("shop");
  const provider = new MeterProvider({ readers: [new TributaryReader(metrics)], views });
  const meter = provider.getMeter("shop", "1.0");
  const count = meter.createCounter("count", { valueType: ValueType.INT });
  const share = meter.createCounter("share");
  const open = meter.createUpDownCounter("open", { valueType: ValueType.INT });
  const latest = meter.createGauge("latest");
  const explicit = meter.createHistogram("explicit", { advice: { explicitBucketBoundaries: [1, 2] } });
  const exponential = meter.createHistogram("exponential");
  let [total, level, isSeen] = [0, 5, true];
  meter.createObservableCounter("total", { valueType: ValueType.INT }).addCallback((result) => {
    if (isSeen) result.observe(total, { b: "2", a: "1" });
  });
  meter.createObservableUpDownCounter("level", { valueType: ValueType.INT }).addCallback((result) => result.observe(level));
  meter.createObservableGauge("temperature").addCallback((result) => result.observe(21.5));
  const plain = metrics.counter("plain");
  for (let round = 0; round < 4; round += 1) {
    count.add(2, { country: "SE" });
    share.add(0.5);
    open.add(round % 2 === 0 ? 3 : -2);
    latest.record(round);
    [0.5, 1, 1.5, 9].forEach((value) => explicit.record(value));
    [1, 2, 4, 0].forEach((value) => exponential.record(value));
    plain.add();
    total = 10 * (round + 1);
    level = 5 - 3 * round;
    // Once it is not observed: it does not begin anew after that.
    isSeen = round !== 1;
    await metrics.flushing(environment);
  }
  const { receiver } = queue;
  assert.equal(receiver.sequences.size, 4, "one message a flush, with all of it");
  assert.deepEqual(
    receiver.integers,
    new Map([["plain{}", 4], ["count{country=SE}", 8], ["open{}", 2], ["total{a=1,b=2}", 40], ["level{}", -4]]),
  );
  assert.deepEqual(receiver.doubles, new Map([["share{}", 2]]));
  assert.deepEqual(receiver.readings, new Map([["latest{}", 3], ["temperature{}", 21.5]]));
  assert.deepEqual(receiver.counts, new Map([["explicit{}", [8, 4, 4]]]));
  assert.deepEqual(receiver.exponential, new Map([["exponential{}", 16]]));
  assert.deepEqual([receiver.service, receiver.dropped], ["shop", 0]);
  await provider.shutdown();
  count.add(1);
  await metrics.flushing(environment);
  assert.equal(receiver.integers.get("count{country=SE}"), 8);
});

/** The attributes of the resources that a message says. */
function resources(message: Uint8Array): Record<string, string>[] {
  return nested(fields(message), 9).map((metrics) =>
    Object.fromEntries(nested(nested(metrics, 1)[0]!, 1).map((pair) => [string(pair, 1), string(nested(pair, 2)[0]!, 1)])),
  );
}

test("what is recorded with and without the SDK is one message of one resource, and more where it is too large for one", async () => {
  const queue = new Queue();
  const environment = { DELTAS: queue, FLUSH_INTERVAL_MS: "0", OTEL_RESOURCE_ATTRIBUTES: "service.version=7,service.namespace=eu" };
  const metrics = new Tributary("shop");
  const provider = new MeterProvider({ readers: [new TributaryReader(metrics)] });
  const [plain, sdk] = [metrics.counter("plain"), provider.getMeter("shop").createCounter("sdk", { valueType: ValueType.INT })];
  const record = async (series: number) => {
    for (let n = 0; n < series; n += 1) [plain, sdk].forEach((counter) => counter.add(1, { n: `${n}`.padStart(200, "0") }));
    await metrics.flushing(environment);
  };
  await record(1);
  assert.equal(queue.bodies.length, 1);
  const [resource, ...others] = resources(queue.bodies[0]!);
  assert.deepEqual(others, []);
  const { "service.name": name, "service.namespace": namespace, "service.version": version } = resource!;
  assert.deepEqual([name, namespace, version, resource!["telemetry.sdk.language"]], ["shop", "eu", "7", "nodejs"]);
  // Two fill a message, and neither fits beside the other.
  await record(400);
  assert.ok(queue.bodies.length >= 3 && queue.receiver.largestBytes <= 120_000, `${queue.bodies.length} messages`);
  const all = (name: string) => [...queue.receiver.integers].filter(([series]) => series.startsWith(name));
  for (const name of ["plain", "sdk"]) {
    assert.equal(all(name).length, 400);
    assert.equal(all(name).reduce((sum, [, count]) => sum + count, 0), 401);
  }
  // Nothing of one kind is no reason for another resource: `target_info` stays as it is.
  plain.add(1);
  await metrics.flushing(environment);
  assert.deepEqual(resources(queue.bodies.at(-1)!), [resource]);
});

test("an SDK that speaks of another service has messages of its own", async () => {
  const queue = new Queue();
  const metrics = new Tributary("shop");
  const resource = resourceFromAttributes({ "service.name": "tills" });
  const provider = new MeterProvider({ readers: [new TributaryReader(metrics)], resource });
  metrics.counter("plain").add(3);
  provider.getMeter("shop").createCounter("sdk", { valueType: ValueType.INT }).add(4);
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  assert.deepEqual(queue.bodies.flatMap(resources).map((own) => own["service.name"]), ["tills", "shop"]);
  assert.deepEqual(queue.receiver.integers, new Map([["sdk{}", 4], ["plain{}", 3]]));
});

test("a callback that never ends holds up nothing else", async () => {
  const queue = new Queue();
  const error = mock.method(console, "error", () => {});
  const waits: number[] = [];
  const timers = mock.method(globalThis, "setTimeout", (call: () => void, milliseconds: number) => {
    waits.push(milliseconds);
    setImmediate(call);
  });
  const metrics = new Tributary("shop");
  const meter = new MeterProvider({ readers: [new TributaryReader(metrics)] }).getMeter("shop");
  meter.createObservableGauge("hangs").addCallback(() => new Promise(() => {}));
  meter.createCounter("count").add(3);
  metrics.counter("plain").add(2);
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  [timers, error].forEach(({ mock }) => mock.restore());
  assert.ok(waits.includes(OBSERVE_TIMEOUT_MS), `${waits}`);
  assert.deepEqual([queue.receiver.doubles, queue.receiver.integers], [new Map([["count{}", 3]]), new Map([["plain{}", 2]])]);
});

test("a level that stays is no message", async () => {
  const queue = new Queue();
  const metrics = new Tributary("shop");
  const provider = new MeterProvider({ readers: [new TributaryReader(metrics)] });
  provider.getMeter("shop").createObservableUpDownCounter("level").addCallback((result) => result.observe(7));
  for (let round = 0; round < 4; round += 1) await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  // It exists, and once more it is seen to be unchanged.
  assert.equal(queue.receiver.sequences.size, 2);
  assert.deepEqual(queue.receiver.doubles, new Map([["level{}", 7]]));
});

test("a callback that fails costs what it observes and nothing else", async () => {
  const queue = new Queue();
  const error = mock.method(console, "error", () => {});
  const metrics = new Tributary("shop");
  const meter = new MeterProvider({ readers: [new TributaryReader(metrics)] }).getMeter("shop");
  meter.createObservableGauge("bad").addCallback(() => {
    throw new Error("bad");
  });
  meter.createCounter("count").add(3);
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  error.mock.restore();
  assert.deepEqual(queue.receiver.doubles, new Map([["count{}", 3]]));
});

/** What both writers must say: fields down to the point, without what only one of them has. */
function comparable(bytes: Uint8Array): unknown {
  // In ResourceMetrics, ScopeMetrics, Metric and its data down to the points, by their numbers.
  const levels: Record<string, (field: number) => string | undefined> = {
    metrics: (field) => ({ 1: "resource", 2: "scope" })[field],
    resource: (field) => (field === 1 ? "leaf" : undefined),
    scope: (field) => ({ 1: "leaf", 2: "metric" })[field],
    metric: (field) => ({ 5: "gauge", 7: "data", 9: "data", 10: "data" })[field],
    data: (field) => (field === 1 ? "leaf" : undefined),
    gauge: (field) => (field === 1 ? "leaf" : undefined),
  };
  const read = (bytes: Uint8Array, level: string): unknown =>
    [...fields(bytes)]
      .flatMap(([field, values]) => values.map((value) => [field, value] as const))
      .map(([field, value]) => {
        const next = levels[level]?.(field);
        if (!(value instanceof Uint8Array)) return [field, `${value}`];
        return [field, next === undefined || next === "leaf" ? leaf(value, field, level) : read(value, next)];
      })
      // A default that is written is one that is not.
      .filter(([, value]) => value !== "" && value !== "0");
  /** An attribute as it is. A point: its fields, whatever their order; a reading has no start. */
  const leaf = (value: Uint8Array, field: number, level: string): unknown => {
    if (level !== "data" && level !== "gauge") return Buffer.from(value).toString("hex");
    assert.equal(field, 1);
    return [...fields(value)]
      .map(([field, values]) => {
        const texts = values.map((one) => (one instanceof Uint8Array ? Buffer.from(one).toString("hex") : `${one}`));
        return [field, texts] as const;
      })
      .filter(([field, texts]) => texts[0] !== "" && !(level === "gauge" && field === 2))
      .sort(([one], [other]) => one - other);
  };
  return read(bytes, "metrics");
}

test("the bytes say what OpenTelemetry's own serializer says", async () => {
  let collected: ResourceMetrics | undefined;
  const metrics = new Tributary("shop");
  const reader = new TributaryReader(metrics);
  const provider = new MeterProvider({ readers: [reader], views });
  const meter = provider.getMeter("shop", "1.0", { schemaUrl: "https://opentelemetry.io/schemas/1.30.0" });
  const attributes = { text: "ü", empty: "", yes: true, no: false, count: 3, negative: -7, half: 0.5, list: ["a", "b"], numbers: [1, 2.5] };
  meter.createCounter("count", { valueType: ValueType.INT, description: "Counted.", unit: "{x}" }).add(3, attributes);
  meter.createUpDownCounter("open").add(-2.5);
  meter.createGauge("latest", { valueType: ValueType.INT }).record(-7);
  const explicit = meter.createHistogram("explicit", { advice: { explicitBucketBoundaries: [1, 2] } });
  [0, 1, 2, 3].forEach((value) => explicit.record(value, attributes));
  const exponential = meter.createHistogram("exponential");
  [0, 1, 2, 300, 0.001].forEach((value) => exponential.record(value));
  ({ resourceMetrics: collected } = await reader.collect());
  const environment = { attributes: collected.resource.attributes as Record<string, string> };
  const { resource, scopes, invalid } = new Converter().convert(collected, environment);
  const { messages: ours } = pack(BOUNDS, resource, scopes);
  assert.deepEqual([ours.length, invalid], [1, 0]);
  const request = ProtobufMetricsSerializer.serializeRequest(collected)!;
  const theirs = fields(request).get(1)![0] as Uint8Array;
  const without = (value: unknown): unknown =>
    JSON.parse(
      JSON.stringify(value, (_, item: unknown) =>
        // Fields of points that we leave out: flags, minima, maxima.
        Array.isArray(item) && item.every((entry) => Array.isArray(entry) && Array.isArray(entry[1]) && typeof entry[0] === "number")
          ? item.filter(([field]) => ![10, 11, 12, 13].includes(field as number))
          : item,
      ),
    );
  assert.deepEqual(without(comparable(ours[0]!)), without(comparable(theirs)));
});

test("a collect larger than a message is several and loses no point", async () => {
  const queue = new Queue();
  const metrics = new Tributary("shop");
  const meter = new MeterProvider({ readers: [new TributaryReader(metrics)] }).getMeter("shop");
  const count = meter.createCounter("count", { valueType: ValueType.INT });
  for (let n = 0; n < 1_500; n += 1) count.add(n, { user: `${n}`.padStart(200, "0") });
  await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
  const { receiver } = queue;
  assert.equal(receiver.integers.size, 1_500);
  assert.equal([...receiver.integers.values()].reduce((sum, n) => sum + n, 0), (1_500 * 1_499) / 2);
  assert.ok(receiver.sequences.size >= 3 && receiver.largestBytes <= 120_000 && receiver.largestBytes > 100_000);
});
