// What recording costs beside recording with no exporter, and what is sent beside one OTLP request per invocation.
//
//   node emitter/npm/bench/cost.ts

import "../test/resolve.mjs";
import { Tributary } from "../src/index.ts";
import type { TributaryReader as Reader } from "../src/sdk.ts";

const { MeterProvider } = await import("@opentelemetry/sdk-metrics");
const { ProtobufMetricsSerializer } = await import("@opentelemetry/otlp-transformer");
const { ValueType } = await import("@opentelemetry/api");
const { TributaryReader } = await import("../src/sdk.ts");

function time(name: string, call: () => void): void {
  for (let n = 0; n < 200_000; n += 1) call();
  const rounds = 2_000_000;
  // CPU time: what else the machine does is not our affair.
  const started = process.cpuUsage();
  for (let n = 0; n < rounds; n += 1) call();
  console.log(`${((process.cpuUsage(started).user * 1_000) / rounds).toFixed(0).padStart(6)} ns  ${name}`);
}

const attributes = { country: "SE" };
const plain = new Tributary("bench");
const counter = plain.counter("requests");
const histogram = plain.histogram("seconds");
time("counter, one attribute, no SDK", () => counter.add(1, attributes));
time("histogram, one attribute, no SDK", () => histogram.record(0.3, attributes));
for (const [name, readers] of [["sent", [new TributaryReader(plain)]], ["no exporter", []]] as [string, Reader[]][]) {
  const meter = new MeterProvider({ readers }).getMeter("bench");
  const counter = meter.createCounter("requests", { valueType: ValueType.INT });
  const histogram = meter.createHistogram("seconds");
  time(`counter, one attribute, SDK, ${name}`, () => counter.add(1, attributes));
  time(`histogram, one attribute, SDK, ${name}`, () => histogram.record(0.3, attributes));
}

/** One invocation: a count, a level, a reading, a distribution, three countries. */
function instruments(provider: InstanceType<typeof MeterProvider>) {
  const meter = provider.getMeter("shop");
  const orders = meter.createCounter("shop.orders", { valueType: ValueType.INT });
  const open = meter.createUpDownCounter("shop.orders.open", { valueType: ValueType.INT });
  const latest = meter.createGauge("shop.order.latest");
  const items = meter.createHistogram("shop.order.items", { advice: { explicitBucketBoundaries: [1, 2, 5, 10] } });
  return (n: number): void => {
    const country = { country: ["DK", "NO", "SE"][n % 3]! };
    orders.add(1, country);
    open.add(1, country);
    latest.record(n % 7);
    items.record(n % 7);
  };
}

// Of one isolate at 100 requests a second and the default interval.
let [messages, bytes] = [0, 0];
const queue = {
  send: async (body: unknown) => {
    messages += 1;
    bytes += (body as Uint8Array).length;
  },
  sendBatch: async () => {},
};
const metrics = new Tributary("shop");
const invoke = instruments(new MeterProvider({ readers: [new TributaryReader(metrics)] }));
for (let n = 0; n < 1_000; n += 1) {
  invoke(n);
  if (n % 100 === 99) await metrics.flushing({ DELTAS: queue, FLUSH_INTERVAL_MS: "0" });
}
console.log(`1,000 invocations: ${messages} messages, ${bytes} bytes`);

// One OTLP request per invocation, without its headers.
const other = new TributaryReader(new Tributary("other"));
const invokeOther = instruments(new MeterProvider({ readers: [other] }));
let posted = 0;
for (let n = 0; n < 1_000; n += 1) {
  invokeOther(n);
  posted += ProtobufMetricsSerializer.serializeRequest((await other.collect()).resourceMetrics)!.length;
}
console.log(`one OTLP request each: 1000 requests, ${posted} bytes of bodies`);
