// Records as often as it is asked to, in workerd: `/<what>?n=…`.

import { ValueType } from "@opentelemetry/api";
import { MeterProvider } from "@opentelemetry/sdk-metrics";
import { Tributary } from "tributary-metrics";
import { TributaryReader } from "tributary-metrics/sdk";

const metrics = new Tributary("bench");
const plain = metrics.counter("plain");
const plainHistogram = metrics.histogram("plain.seconds");
const [sent, none] = [[new TributaryReader(metrics)], []].map((readers) => {
  const meter = new MeterProvider({ readers }).getMeter("bench");
  const counter = meter.createCounter("requests", { valueType: ValueType.INT });
  return { counter, histogram: meter.createHistogram("seconds") };
});
const attributes = { country: "SE" };

const records: Record<string, () => void> = {
  "counter, no SDK": () => plain.add(1, attributes),
  "histogram, no SDK": () => plainHistogram.record(0.3, attributes),
  "counter, SDK, sent": () => sent!.counter.add(1, attributes),
  "histogram, SDK, sent": () => sent!.histogram.record(0.3, attributes),
  "counter, SDK, no exporter": () => none!.counter.add(1, attributes),
  "histogram, SDK, no exporter": () => none!.histogram.record(0.3, attributes),
  nothing: () => {},
};

export default {
  fetch(request: Request): Response {
    const { pathname, searchParams } = new URL(request.url);
    const record = records[decodeURIComponent(pathname.slice(1))];
    if (record === undefined) return Response.json(Object.keys(records));
    for (let n = Number(searchParams.get("n")); n > 0; n -= 1) record();
    return new Response();
  },
};
