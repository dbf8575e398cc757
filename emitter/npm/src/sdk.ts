// OpenTelemetry's SDK as a source of messages.

import {
  AggregationTemporality,
  DataPointType,
  MetricReader,
  type DataPoint,
  type MetricData,
  type MetricReaderOptions,
  type ResourceMetrics,
} from "@opentelemetry/sdk-metrics";
import { MAX_SERIES } from "./limits.ts";
import type { Attributes, Head, Metric, Point, Resource, Scope } from "./otlp.ts";
import { seriesKey } from "./registry.ts";
import type { Source, Taken, Tributary } from "./tributary.ts";

/** Time that the callback of an observable instrument may take, in milliseconds: what else is recorded waits for it. */
export const OBSERVE_TIMEOUT_MS = 2_000;

/**
 * A reader that is emptied by `Tributary.flush`, in the `waitUntil` of a request: a Worker has no timers between requests.
 * Everything comes out as what was added since the last time, up-down counters included: a sum over isolates is all that
 * means anything.
 */
export class TributaryReader extends MetricReader implements Source {
  readonly #converter = new Converter();

  constructor(tributary: Tributary, options: Omit<MetricReaderOptions, "aggregationTemporalitySelector"> = {}) {
    super({ ...options, aggregationTemporalitySelector: () => AggregationTemporality.DELTA });
    tributary.addSource(this);
  }

  async take(resource: Resource): Promise<Taken | undefined> {
    let metrics: ResourceMetrics;
    try {
      const { resourceMetrics, errors } = await this.collect({ timeoutMillis: OBSERVE_TIMEOUT_MS });
      if (errors.length > 0) console.error("tributary: an observable callback failed", errors[0]);
      metrics = resourceMetrics;
    } catch {
      // Shut down, or not the reader of a provider.
      return undefined;
    }
    return this.#converter.convert(metrics, resource);
  }

  protected override async onShutdown(): Promise<void> {}

  protected override async onForceFlush(): Promise<void> {}
}

/** Writes what an SDK collected as this package's points. */
export class Converter {
  /** Series of sums that were sent: that nothing was added to one is no news. */
  readonly #known = new Set<string>();

  convert({ resource, scopeMetrics }: ResourceMetrics, environment: Resource): Taken {
    const own = resource.attributes as Attributes;
    const service = String(own["service.name"] ?? "unknown_service");
    const isUnknown = service.startsWith("unknown_service");
    const attributes = { ...environment.attributes, ...own };
    if (isUnknown) attributes["service.name"] = environment.attributes["service.name"];
    let invalid = 0;
    const scopes = scopeMetrics.map(({ scope, metrics }) => ({
      scope: scope as Scope,
      metrics: metrics.map((metric): Metric => {
        const { name, description, unit } = metric.descriptor;
        const { points, invalid: none } = this.#points(scope, metric);
        invalid += none;
        return { head: { name, description, unit, kind: kindOf(metric) }, points };
      }),
    }));
    return { resource: { attributes, schemaUrl: resource.schemaUrl }, scopes, invalid };
  }

  /** The points of a metric, and how many are none. */
  #points(scope: Scope, metric: MetricData): { points: Point[]; invalid: number } {
    const { name, valueType } = metric.descriptor;
    const points: Point[] = [];
    let invalid = 0;
    switch (metric.dataPointType) {
      case DataPointType.SUM:
      case DataPointType.GAUGE: {
        const isSum = metric.dataPointType === DataPointType.SUM;
        for (const point of metric.dataPoints) {
          const { value } = point;
          if (!Number.isFinite(value) || (isSum && metric.isMonotonic && value < 0)) invalid += 1;
          else if (!isSum || this.#isNews(scope, name, point)) {
            const isInteger = VALUE_TYPE_INT === valueType && Number.isInteger(value) && Math.abs(value) < 2 ** 63;
            points.push({ ...observed(point), ...(isSum ? {} : { startNanos: 0n }), value: isInteger ? BigInt(value) : value });
          }
        }
        return { points, invalid };
      }
      case DataPointType.HISTOGRAM:
        for (const point of metric.dataPoints) {
          const { count, sum, buckets } = point.value;
          if (sum !== undefined && !Number.isFinite(sum)) invalid += 1;
          else points.push({ ...observed(point), count, sum, bounds: buckets.boundaries, counts: buckets.counts });
        }
        return { points, invalid };
      case DataPointType.EXPONENTIAL_HISTOGRAM:
        for (const point of metric.dataPoints) {
          const { count, sum, scale, zeroCount, positive, negative } = point.value;
          const sides = { positive: buckets(positive), negative: buckets(negative) };
          if (sum !== undefined && !Number.isFinite(sum)) invalid += 1;
          else points.push({ ...observed(point), count, sum, scale, zeroCount, zeroThreshold: 0, ...sides });
        }
        return { points, invalid };
    }
  }

  #isNews({ name: scope, version }: Scope, name: string, point: DataPoint<number>): boolean {
    if (point.value !== 0) return true;
    const key = JSON.stringify([scope, version, name, seriesKey(point.attributes as Attributes)]);
    if (this.#known.has(key)) return false;
    if (this.#known.size < MAX_SERIES) this.#known.add(key);
    return true;
  }
}

/** `ValueType.INT` of the API, which is therefore needed for its types only. */
const VALUE_TYPE_INT: number = 0;

function kindOf(metric: MetricData): Head["kind"] {
  switch (metric.dataPointType) {
    case DataPointType.SUM:
      return metric.isMonotonic ? "counter" : "upDownCounter";
    case DataPointType.GAUGE:
      return "gauge";
    case DataPointType.HISTOGRAM:
      return "histogram";
    case DataPointType.EXPONENTIAL_HISTOGRAM:
      return "exponentialHistogram";
  }
}

function buckets({ offset, bucketCounts }: { offset: number; bucketCounts: number[] }): { offset: number; counts: number[] } {
  // The SDK's empty side has one bucket with nothing in it.
  return bucketCounts.every((count) => count === 0) ? { offset: 0, counts: [] } : { offset, counts: bucketCounts };
}

function observed({ attributes, startTime, endTime }: DataPoint<unknown>) {
  return { attributes: attributes as Attributes, startNanos: nanos(startTime), timeNanos: nanos(endTime) };
}

function nanos([seconds, nanoseconds]: readonly [number, number]): bigint {
  return BigInt(Math.trunc(seconds)) * 1_000_000_000n + BigInt(Math.trunc(nanoseconds));
}
