// OTLP's JSON mapping, as the vectors have it, as this package's points.

import type { AttributeValue, Attributes, Buckets, Head, Metric, Point, Resource, ScopeMetrics } from "../src/otlp.ts";

type Json = any; // eslint-disable-line

function value(json: Json): AttributeValue | undefined {
  if ("stringValue" in json) return json.stringValue;
  if ("boolValue" in json) return json.boolValue;
  if ("intValue" in json) return BigInt(json.intValue);
  if ("doubleValue" in json) return json.doubleValue;
  if ("arrayValue" in json) return json.arrayValue.values.map(value);
  throw new Error(JSON.stringify(json));
}

export function attributes(pairs: Json[] = []): Attributes {
  return Object.fromEntries(pairs.map((pair) => [pair.key, value(pair.value)]));
}

export function resource(json: Json): Resource {
  return { attributes: attributes(json.resource.attributes), schemaUrl: json.schemaUrl };
}

export function scopes(json: Json): ScopeMetrics[] {
  return json.scopeMetrics.map((scope: Json) => ({
    scope: {
      name: scope.scope.name,
      version: scope.scope.version,
      attributes: attributes(scope.scope.attributes),
      schemaUrl: scope.schemaUrl,
    },
    metrics: scope.metrics.map(metric),
  }));
}

function metric(json: Json): Metric {
  const { name, description = "", unit = "" } = json;
  const of = (kind: Head["kind"], points: Point[]) => ({ head: { name, description, unit, kind }, points });
  if (json.gauge) return of("gauge", json.gauge.dataPoints.map(number));
  if (json.sum) return of(json.sum.isMonotonic ? "counter" : "upDownCounter", json.sum.dataPoints.map(number));
  if (json.histogram) {
    return of(
      "histogram",
      json.histogram.dataPoints.map((point: Json) => ({
        ...observed(point),
        count: BigInt(point.count),
        sum: point.sum,
        bounds: point.explicitBounds,
        counts: point.bucketCounts.map(BigInt),
      })),
    );
  }
  return of(
    "exponentialHistogram",
    json.exponentialHistogram.dataPoints.map((point: Json) => ({
      ...observed(point),
      count: BigInt(point.count),
      sum: point.sum,
      scale: point.scale,
      zeroCount: BigInt(point.zeroCount),
      zeroThreshold: point.zeroThreshold,
      positive: buckets(point.positive),
      negative: buckets(point.negative),
    })),
  );
}

function buckets(json: Json): Buckets {
  return json ? { offset: json.offset, counts: json.bucketCounts.map(BigInt) } : { offset: 0, counts: [] };
}

function observed(point: Json) {
  return {
    attributes: attributes(point.attributes),
    startNanos: BigInt(point.startTimeUnixNano),
    timeNanos: BigInt(point.timeUnixNano),
  };
}

function number(point: Json): Point {
  return { ...observed(point), value: "asInt" in point ? BigInt(point.asInt) : point.asDouble };
}
