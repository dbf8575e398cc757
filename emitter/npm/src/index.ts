export {
  Tributary,
  type Counter,
  type Gauge,
  type HandlerContext,
  type Histogram,
  type Options,
  type QueueBinding,
  type Source,
  type UpDownCounter,
} from "./tributary.ts";
export type { Environment } from "./environment.ts";
export type { Collected } from "./flusher.ts";
export type { Attributes, AttributeValue, Resource } from "./otlp.ts";
export type { CounterOptions, HistogramOptions, InstrumentOptions } from "./registry.ts";
