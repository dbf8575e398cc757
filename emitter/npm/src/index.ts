export {
  Tributary,
  type Counter,
  type Gauge,
  type HandlerContext,
  type Histogram,
  type Options,
  type QueueBinding,
  type Source,
  type Taken,
  type UpDownCounter,
} from "./tributary.ts";
export type { Environment } from "./environment.ts";
export type {
  Attributes,
  AttributeValue,
  Buckets,
  ExponentialPoint,
  Head,
  HistogramPoint,
  Metric,
  NumberPoint,
  Point,
  Resource,
  Scope,
  ScopeMetrics,
} from "./otlp.ts";
export type { CounterOptions, HistogramOptions, InstrumentOptions } from "./registry.ts";
