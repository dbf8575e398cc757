// Points of OpenTelemetry's metrics, and their bytes (opentelemetry.proto.metrics.v1). All sums and histograms are deltas.

import { Writer } from "./protobuf.ts";

/** A value of an attribute. */
export type AttributeValue =
  | string
  | number
  | bigint
  | boolean
  | Uint8Array
  | readonly (string | number | bigint | boolean | null | undefined)[];

/** Attributes by name; an absent value is no attribute. */
export type Attributes = Readonly<Record<string, AttributeValue | null | undefined>>;

/** Who says all of it. */
export interface Resource {
  readonly attributes: Attributes;
  readonly schemaUrl?: string | undefined;
}

/** Which part of the program measures. */
export interface Scope {
  readonly name: string;
  readonly version?: string | undefined;
  readonly attributes?: Attributes | undefined;
  readonly schemaUrl?: string | undefined;
}

/** A metric without its points. */
export interface Head {
  readonly name: string;
  readonly description: string;
  /** As UCUM writes it, empty for none. */
  readonly unit: string;
  readonly kind: "gauge" | "counter" | "upDownCounter" | "histogram" | "exponentialHistogram";
}

interface Observed {
  readonly attributes: Attributes;
  /** Start of the time that it covers, in nanoseconds since the epoch; 0 is not known. A reading has none. */
  readonly startNanos: bigint;
  /** End of that time. */
  readonly timeNanos: bigint;
}

/** A point of a gauge or of a counter. A bigint is OTLP's integer, of 64 bits with a sign; a number is its double. */
export interface NumberPoint extends Observed {
  readonly value: number | bigint;
}

/** A point of a histogram: a count for each bound, which is inclusive, and one for what is above. */
export interface HistogramPoint extends Observed {
  readonly count: number | bigint;
  readonly sum: number | undefined;
  readonly bounds: readonly number[];
  readonly counts: readonly (number | bigint)[];
}

/** A side of an exponential histogram: the count at `position` is that of the bucket `offset + position`. */
export interface Buckets {
  readonly offset: number;
  readonly counts: readonly (number | bigint)[];
}

/** A point of an exponential histogram. */
export interface ExponentialPoint extends Observed {
  readonly count: number | bigint;
  readonly sum: number | undefined;
  readonly scale: number;
  readonly zeroCount: number | bigint;
  readonly zeroThreshold: number;
  readonly positive: Buckets;
  readonly negative: Buckets;
}

/** A point, of the kind of its metric. */
export type Point = NumberPoint | HistogramPoint | ExponentialPoint;

/** A metric with its points, all of its kind. */
export interface Metric {
  readonly head: Head;
  readonly points: readonly Point[];
}

/** What one part of the program measured. */
export interface ScopeMetrics {
  readonly scope: Scope;
  readonly metrics: readonly Metric[];
}

const DELTA = 1;

function anyValue(value: AttributeValue | null | undefined): Uint8Array {
  const writer = new Writer();
  switch (typeof value) {
    case "string":
      return writer.stringOfOneof(1, value).finish();
    case "boolean":
      return writer.uintOfOneof(2, value ? 1 : 0).finish();
    case "bigint":
      return writer.uintOfOneof(3, value).finish();
    case "number":
      // As OpenTelemetry's own serializer has it: a whole number is an integer.
      if (Number.isInteger(value)) return writer.uintOfOneof(3, BigInt(value)).finish();
      return writer.doubleOfOneof(4, value).finish();
  }
  if (value instanceof Uint8Array) return writer.message(7, value).finish();
  if (Array.isArray(value)) {
    const array = new Writer();
    for (const item of value) array.message(1, anyValue(item));
    return writer.message(5, array.finish()).finish();
  }
  return writer.finish();
}

function writeAttributes(writer: Writer, field: number, attributes: Attributes): void {
  for (const [key, value] of Object.entries(attributes)) {
    if (value === undefined || value === null) continue;
    writer.message(field, encodeAttribute(key, value));
  }
}

/** Encodes a KeyValue. */
export function encodeAttribute(key: string, value: AttributeValue): Uint8Array {
  return new Writer().string(1, key).message(2, anyValue(value)).finish();
}

/** Encodes a Resource. */
export function encodeResource(resource: Resource): Uint8Array {
  const writer = new Writer();
  writeAttributes(writer, 1, resource.attributes);
  return writer.finish();
}

/** Encodes an InstrumentationScope. */
export function encodeScope(scope: Scope): Uint8Array {
  const writer = new Writer().string(1, scope.name).string(2, scope.version ?? "");
  writeAttributes(writer, 3, scope.attributes ?? {});
  return writer.finish();
}

function encodeBuckets(buckets: Buckets): Uint8Array {
  return new Writer().sint32(1, buckets.offset).packedUint(2, buckets.counts).finish();
}

/** Encodes a point. */
export function encodePoint(point: Point): Uint8Array {
  const writer = new Writer();
  if ("value" in point) {
    writer.fixed64(2, point.startNanos).fixed64(3, point.timeNanos);
    if (typeof point.value === "bigint") writer.fixed64OfOneof(6, point.value);
    else writer.doubleOfOneof(4, point.value);
    writeAttributes(writer, 7, point.attributes);
  } else if ("scale" in point) {
    writeAttributes(writer, 1, point.attributes);
    writer.fixed64(2, point.startNanos).fixed64(3, point.timeNanos).fixed64(4, point.count);
    if (point.sum !== undefined) writer.doubleOfOneof(5, point.sum);
    writer.sint32(6, point.scale).fixed64(7, point.zeroCount);
    if (point.positive.counts.length > 0) writer.message(8, encodeBuckets(point.positive));
    if (point.negative.counts.length > 0) writer.message(9, encodeBuckets(point.negative));
    writer.double(14, point.zeroThreshold);
  } else {
    writer.fixed64(2, point.startNanos).fixed64(3, point.timeNanos).fixed64(4, point.count);
    if (point.sum !== undefined) writer.doubleOfOneof(5, point.sum);
    writer.packedFixed64(6, point.counts).packedDouble(7, point.bounds);
    writeAttributes(writer, 9, point.attributes);
  }
  return writer.finish();
}

/** How many buckets a point has. */
export function bucketCount(point: Point): number {
  if ("value" in point) return 0;
  return "scale" in point ? point.positive.counts.length + point.negative.counts.length : point.counts.length;
}

/** Encodes a metric with points that are encoded. */
export function encodeMetric(head: Head, points: readonly Uint8Array[]): Uint8Array {
  const data = new Writer();
  for (const point of points) data.message(1, point);
  if (head.kind !== "gauge") data.uint(2, DELTA);
  if (head.kind === "counter") data.uint(3, 1);
  const field = { gauge: 5, counter: 7, upDownCounter: 7, histogram: 9, exponentialHistogram: 10 }[head.kind];
  const { name, description, unit } = head;
  return new Writer().string(1, name).string(2, description).string(3, unit).message(field, data.finish()).finish();
}
