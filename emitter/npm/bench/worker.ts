// A Worker that records in several ways, as `make otel-load` asks it to (tests/src/bin/load/otel); tests/otel is the same in
// Rust, with the same paths.

import { ValueType } from "@opentelemetry/api";
import { ProtobufMetricsSerializer } from "@opentelemetry/otlp-transformer";
import { resourceFromAttributes } from "@opentelemetry/resources";
import { AggregationTemporality, MeterProvider, MetricReader } from "@opentelemetry/sdk-metrics";
import { Tributary, type HandlerContext } from "tributary-metrics";
import { TributaryReader } from "tributary-metrics/sdk";

const NAME = "load";
const BOUNDARIES = [0.1, 0.2, 0.5, 1, 2, 5];
const metrics = new Tributary(NAME);
const queue = new MeterProvider({ readers: [new TributaryReader(metrics)] });
/** Its instruments aggregate nothing: nobody reads. */
const none = new MeterProvider();

/** What an invocation records: a count and a level by country, a reading, a distribution. */
function shop(provider: MeterProvider): (n: number) => void {
  const meter = provider.getMeter(NAME);
  const orders = meter.createCounter("shop.orders", { valueType: ValueType.INT });
  const open = meter.createUpDownCounter("shop.orders.open", { valueType: ValueType.INT });
  const latest = meter.createGauge("shop.order.latest", { valueType: ValueType.INT });
  const items = meter.createHistogram("shop.order.items", { advice: { explicitBucketBoundaries: [1, 2, 5, 10] } });
  return (n) => {
    const country = { country: ["DK", "NO", "SE"][n % 3]! };
    orders.add(1, country);
    open.add(1, country);
    latest.record(n % 7);
    items.record(n % 7);
  };
}

/** Is emptied for each request. */
class PostReader extends MetricReader {
  constructor() {
    super({ aggregationTemporalitySelector: () => AggregationTemporality.DELTA });
  }
  protected override async onShutdown(): Promise<void> {}
  protected override async onForceFlush(): Promise<void> {}
}

const once = <T>(make: () => T): (() => T) => {
  let made: T | undefined;
  return () => (made ??= make());
};
// Made when they are first asked for: a runtime is measured for one way alone.
const toQueue = once(() => shop(queue));
const toNobody = once(() => shop(none));
const toCollector = once(() => {
  const reader = new PostReader();
  const resource = resourceFromAttributes({ "service.name": NAME });
  return { reader, order: shop(new MeterProvider({ readers: [reader], resource })) };
});

/** What people do without a queue: each invocation posts what it recorded. */
async function post(endpoint: string, reader: MetricReader): Promise<void> {
  const { resourceMetrics } = await reader.collect();
  const body = ProtobufMetricsSerializer.serializeRequest(resourceMetrics)!;
  const headers = { "content-type": "application/x-protobuf" };
  const { status } = await fetch(`${endpoint}/v1/metrics`, { method: "POST", headers, body: body.slice() });
  if (status !== 200) console.error(`not posted: status ${status}`);
}

const records = once((): Record<string, () => void> => {
  const country = { country: "SE" };
  const of = (way: string, provider: MeterProvider): Record<string, () => void> => {
    const meter = provider.getMeter(NAME);
    const bare = meter.createCounter("bare", { valueType: ValueType.INT });
    const counter = meter.createCounter("labelled", { valueType: ValueType.INT });
    const histogram = meter.createHistogram("seconds", { advice: { explicitBucketBoundaries: BOUNDARIES } });
    return {
      [`${way}/bare`]: () => bare.add(1),
      [`${way}/counter`]: () => counter.add(1, country),
      [`${way}/histogram`]: () => histogram.record(0.3, country),
    };
  };
  const [bare, counter] = [metrics.counter("plain"), metrics.counter("plain.labelled")];
  const histogram = metrics.histogram("plain.seconds", { boundaries: BOUNDARIES });
  return {
    "nothing/bare": () => {},
    "nothing/counter": () => {},
    "nothing/histogram": () => {},
    ...of("none", none),
    ...of("queue", queue),
    "plain/bare": () => bare.add(1),
    "plain/counter": () => counter.add(1, country),
    "plain/histogram": () => histogram.record(0.3, country),
  };
});

export default {
  fetch(request: Request, env: { OTEL_EXPORTER_OTLP_ENDPOINT: string }, context: HandlerContext): Response {
    const { pathname, searchParams } = new URL(request.url);
    const n = Number(searchParams.get("n"));
    switch (pathname) {
      case "/nothing":
        break;
      case "/none":
        toNobody()(n);
        break;
      case "/queue":
        toQueue()(n);
        metrics.flush(env, context);
        break;
      case "/post": {
        const { reader, order } = toCollector();
        order(n);
        context.waitUntil(post(env.OTEL_EXPORTER_OTLP_ENDPOINT, reader));
        break;
      }
      default: {
        const record = records()[pathname.replace("/record/", "")];
        if (record === undefined) return new Response("no such way", { status: 404 });
        for (let left = n; left > 0; left -= 1) record();
        metrics.flush(env, context);
      }
    }
    return new Response("ok");
  },
};
