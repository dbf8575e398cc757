// What an isolate records without an SDK, series by series. Recording is synchronous and never throws; what no series can
// take is counted. Past a bound a family has one more series, labelled as the OpenTelemetry specification names it, and all
// that has no place of its own is recorded there.

import {
  MAX_BOUNDS,
  MAX_FAMILIES,
  MAX_FAMILY_SERIES,
  MAX_FRAGMENT_BYTES,
  MAX_MESSAGE_BUCKETS,
  MAX_MESSAGE_CUSTOM_BYTES,
  MAX_MESSAGE_SERIES,
  MAX_SERIES,
} from "./limits.ts";
import type { Attributes, Head, Metric, Point } from "./otlp.ts";
import type { Bounds } from "./pack.ts";

/** What one message holds. */
export const BOUNDS: Bounds = {
  bytes: MAX_FRAGMENT_BYTES,
  points: MAX_MESSAGE_SERIES,
  buckets: MAX_MESSAGE_BUCKETS,
  written: MAX_MESSAGE_CUSTOM_BYTES,
};

/** The bounds of a histogram that names none: the OpenTelemetry specification's. */
export const DEFAULT_BOUNDARIES: readonly number[] = [
  0, 5, 10, 25, 50, 75, 100, 250, 500, 750, 1000, 2500, 5000, 7500, 10000,
];

/** What an instrument says of itself. */
export interface InstrumentOptions {
  readonly description?: string;
  /** As UCUM writes it: `s`, `By`, `{order}`. */
  readonly unit?: string;
}

/** Also of a counter. */
export interface CounterOptions extends InstrumentOptions {
  /** `int` (default): whole numbers, exact. `double`: any. All Workers that record a metric agree on it. */
  readonly valueType?: "int" | "double";
}

/** Also of a histogram. */
export interface HistogramOptions extends InstrumentOptions {
  /** Upper bounds, inclusive, increasing; at most 512. */
  readonly boundaries?: readonly number[];
}

/** What was recorded. It is not given again. */
export interface Recorded {
  readonly metrics: readonly Metric[];
  /** Values that no series can have. */
  readonly invalid: number;
  /** Recordings past the bound on families. */
  readonly limited: number;
}

interface Series {
  readonly attributes: Attributes;
  /** Something was recorded since the last time. */
  isTouched: boolean;
  /** Of a counter or a histogram, what was added; of a gauge, the reading. */
  value: number;
  /** Of a gauge, when it was read. */
  timeMs: number;
  /** Of a histogram, by bucket. */
  readonly counts: number[];
}

interface Family {
  readonly head: Head;
  readonly isInteger: boolean;
  readonly bounds: readonly number[];
  readonly series: Map<string, Series>;
  overflow: Series | undefined;
}

const NAME = /^[A-Za-z][A-Za-z0-9_./-]{0,254}$/;

/** Records into one family. */
export class Recorder {
  readonly #registry: Registry;
  readonly #family: Family | undefined;

  constructor(registry: Registry, family: Family | undefined) {
    this.#registry = registry;
    this.#family = family;
  }

  record(value: number, attributes: Attributes): void {
    this.#registry.record(this.#family, value, attributes);
  }
}

/** All families of an isolate. */
export class Registry {
  readonly #families = new Map<string, Family>();
  #series = 0;
  #startMs: number | undefined;
  #hasRecorded = false;
  #invalid = 0;
  #limited = 0;

  /** Whether there is anything to drain. */
  get hasRecorded(): boolean {
    return this.#hasRecorded;
  }

  /**
   * An instrument. The same name gives the same family.
   *
   * @throws TypeError where no metric can be like that: an instrument is made when the program starts, and fails there.
   */
  instrument(kind: Head["kind"], name: string, options: CounterOptions & HistogramOptions): Recorder {
    if (!NAME.test(name)) throw new TypeError(`${JSON.stringify(name)} is no name of a metric`);
    const bounds = kind === "histogram" ? [...(options.boundaries ?? DEFAULT_BOUNDARIES)] : [];
    if (bounds.length > MAX_BOUNDS || bounds.some((bound, at) => !Number.isFinite(bound) || bound <= bounds[at - 1]!)) {
      throw new TypeError(`boundaries are finite, increasing and at most ${MAX_BOUNDS}`);
    }
    const head = { name, description: options.description ?? "", unit: options.unit ?? "", kind };
    const isInteger = (kind === "counter" || kind === "upDownCounter") && options.valueType !== "double";
    const known = this.#families.get(name);
    if (known !== undefined) {
      const same =
        known.head.kind === kind && known.isInteger === isInteger && known.bounds.join() === bounds.join();
      if (!same) throw new TypeError(`${name} is another kind of metric already`);
      return new Recorder(this, known);
    }
    if (this.#families.size >= MAX_FAMILIES) return new Recorder(this, undefined);
    const family: Family = { head, isInteger, bounds, series: new Map(), overflow: undefined };
    this.#families.set(name, family);
    return new Recorder(this, family);
  }

  record(family: Family | undefined, value: number, attributes: Attributes): void {
    this.#hasRecorded = true;
    this.#startMs ??= Date.now();
    if (family === undefined) {
      this.#limited += 1;
      return;
    }
    try {
      if (!take(family, this.#place(family, attributes), value)) this.#invalid += 1;
    } catch {
      // Attributes that TypeScript would not let through.
      this.#invalid += 1;
    }
  }

  /** Takes what was recorded since the last time. */
  drain(nowMs: number): Recorded {
    const metrics: Metric[] = [];
    const startNanos = nanos(Math.min(this.#startMs ?? nowMs, nowMs));
    const timeNanos = nanos(nowMs);
    for (const family of this.#families.values()) {
      const all = family.overflow === undefined ? family.series.values() : [...family.series.values(), family.overflow];
      const points: Point[] = [];
      for (const series of all) {
        if (!series.isTouched) continue;
        points.push(point(family, series, startNanos, timeNanos));
        series.isTouched = false;
        series.value = 0;
        series.counts.fill(0);
      }
      if (points.length > 0) metrics.push({ head: family.head, points });
    }
    const recorded = { metrics, invalid: this.#invalid, limited: this.#limited };
    [this.#invalid, this.#limited, this.#startMs, this.#hasRecorded] = [0, 0, nowMs, false];
    return recorded;
  }

  #place(family: Family, attributes: Attributes): Series {
    const key = seriesKey(attributes);
    let series = family.series.get(key);
    if (series !== undefined) return series;
    if (family.series.size >= MAX_FAMILY_SERIES || this.#series >= MAX_SERIES) {
      family.overflow ??= begin(family, { "otel.metric.overflow": true });
      return family.overflow;
    }
    series = begin(family, { ...attributes });
    family.series.set(key, series);
    this.#series += 1;
    return series;
  }
}

function begin(family: Family, attributes: Attributes): Series {
  const counts = family.head.kind === "histogram" ? new Array<number>(family.bounds.length + 1).fill(0) : [];
  return { attributes, isTouched: false, value: 0, timeMs: 0, counts };
}

/** The same for the same attributes in whatever order. */
export function seriesKey(attributes: Attributes): string {
  const names = Object.keys(attributes);
  if (names.length === 0) return "";
  const [first] = names as [string];
  const value = attributes[first];
  // The common case, quickly: no JSON begins with a digit and is followed by a name.
  if (names.length === 1 && typeof value === "string") return `${first.length}:${first}${value}`;
  const entries = Object.entries(attributes).filter(([, value]) => value !== undefined && value !== null);
  if (entries.length === 0) return "";
  entries.sort(([one], [other]) => (one < other ? -1 : one > other ? 1 : 0));
  if (entries.length === 1 && typeof entries[0]![1] === "string") return seriesKey(Object.fromEntries(entries));
  return JSON.stringify(entries, (_, value: unknown) => (typeof value === "bigint" ? `${value}n` : value));
}

/** Whether the series takes the value. */
function take(family: Family, series: Series, value: number): boolean {
  if (typeof value !== "number" || !Number.isFinite(value)) return false;
  const sum = series.value + value;
  switch (family.head.kind) {
    case "counter":
    case "upDownCounter":
      if (value < 0 && family.head.kind === "counter") return false;
      if (family.isInteger ? !Number.isSafeInteger(value) || !Number.isSafeInteger(sum) : !Number.isFinite(sum)) {
        return false;
      }
      series.value = sum;
      break;
    case "gauge":
      series.value = value;
      series.timeMs = Date.now();
      break;
    default:
      // A sum that goes down is none, unless the bounds say that values are below zero.
      if (value < 0 && !((family.bounds[0] ?? 0) < 0)) return false;
      if (!Number.isFinite(sum)) return false;
      series.counts[bucket(family.bounds, value)]! += 1;
      series.value = sum;
  }
  series.isTouched = true;
  return true;
}

/** The first bound that is not below the value: upper bounds are inclusive. */
function bucket(bounds: readonly number[], value: number): number {
  let [low, high] = [0, bounds.length];
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (bounds[middle]! < value) low = middle + 1;
    else high = middle;
  }
  return low;
}

function point(family: Family, series: Series, startNanos: bigint, timeNanos: bigint): Point {
  const { attributes, value } = series;
  switch (family.head.kind) {
    case "gauge": {
      const readNanos = nanos(series.timeMs);
      // A clock that was set back: a reading later than its message would hide all that are made until then.
      return { attributes, startNanos: 0n, timeNanos: readNanos < timeNanos ? readNanos : timeNanos, value };
    }
    case "histogram": {
      const counts = [...series.counts];
      const count = counts.reduce((sum, count) => sum + count, 0);
      return { attributes, startNanos, timeNanos, count, sum: value, bounds: family.bounds, counts };
    }
    default:
      return { attributes, startNanos, timeNanos, value: family.isInteger ? BigInt(value) : value };
  }
}

function nanos(milliseconds: number): bigint {
  return BigInt(Math.trunc(milliseconds)) * 1_000_000n;
}
