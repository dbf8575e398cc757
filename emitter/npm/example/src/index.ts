// A kiosk: `POST /sales?country=SE&items=3`, and `DELETE` for one that is taken back. Half of it counts with OpenTelemetry's
// SDK, half without; its code is in `docs/otel.md`, which a test compares.
import { ValueType } from "@opentelemetry/api";
import { AggregationType, MeterProvider } from "@opentelemetry/sdk-metrics";
import { Tributary } from "tributary-metrics";
import { TributaryReader } from "tributary-metrics/sdk";

const metrics = new Tributary("kiosk");
const sales = metrics.counter("kiosk.sales", { description: "Sales." });
const latest = metrics.gauge("kiosk.sale.latest", { description: "Items of the latest sale." });

const exponential = { type: AggregationType.EXPONENTIAL_HISTOGRAM } as const;
const provider = new MeterProvider({
  readers: [new TributaryReader(metrics)],
  views: [{ instrumentName: "kiosk.sale.value", aggregation: exponential }],
});
const meter = provider.getMeter("kiosk");
const open = meter.createUpDownCounter("kiosk.sales.open", { valueType: ValueType.INT });
const items = meter.createHistogram("kiosk.sale.items", { advice: { explicitBucketBoundaries: [1, 2, 5, 10] } });
const value = meter.createHistogram("kiosk.sale.value");

// What observable instruments are asked for, of this isolate.
let [requests, openItems, largest] = [0, 0, 0];
const whole = { valueType: ValueType.INT };
meter.createObservableCounter("kiosk.requests", whole).addCallback((seen) => seen.observe(requests));
meter.createObservableUpDownCounter("kiosk.items.open", whole).addCallback((seen) => seen.observe(openItems));
meter.createObservableGauge("kiosk.sale.largest", whole).addCallback((seen) => seen.observe(largest));

export default {
  async fetch(request: Request, env: object, context: { waitUntil(promise: Promise<unknown>): void }): Promise<Response> {
    const { searchParams } = new URL(request.url);
    // An attribute has few values: what a client may choose freely is none.
    const country = ["DK", "NO", "SE"].find((country) => country === searchParams.get("country")) ?? "other";
    const asked = Number.parseInt(searchParams.get("items") ?? "1", 10);
    const count = Number.isFinite(asked) ? asked : 1;

    requests += 1;
    if (request.method === "DELETE") {
      open.add(-1, { country });
      openItems -= count;
    } else {
      sales.add(1, { country });
      latest.record(count);
      open.add(1, { country });
      items.record(count);
      value.record(count * 0.25);
      openItems += count;
      largest = Math.max(largest, count);
    }
    metrics.flush(env, context);
    return new Response("Thank you for your purchase.\n");
  },
};
