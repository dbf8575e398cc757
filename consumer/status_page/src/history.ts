// The page's own short memory: a quarter of an hour of readings, from which rates and windows are taken.

import type { Buckets, Reading } from "./reading.ts";

/** How long readings are kept, in seconds. */
export const KEPT_SECONDS = 15 * 60;
/** A rate is taken over at least this time: counters arrive in steps, a batch or a publication at a time. */
export const RATE_SECONDS = 20;
/** Quantiles are taken over at least this time, so that there is something to take them of. */
export const QUANTILE_SECONDS = 60;
/** A copy that does not change is no news; after this time it is: nothing happens. */
const QUIET_SECONDS = 30;
/** How far the state's own clock may be behind ours to be believed. */
const BELIEVED_SECONDS = 120;

/** One reading on the time axis, its counters made to grow for ever. */
interface Point {
  /** Seconds since the epoch. */
  readonly time: number;
  readonly counters: ReadonlyMap<string, number>;
  readonly histograms: ReadonlyMap<string, Buckets>;
}

/** What became of a reading. */
export type Pushed = "taken" | "unchanged" | "older";

export class History {
  #points: Point[] = [];
  #lastText = "";
  #copyTime = 0;
  /** What counters lost by resets until now, by key. */
  #lost = new Map<string, number>();
  #raw = new Map<string, number>();
  #rawHistograms = new Map<string, Buckets>();

  /**
   * Takes a reading of the scrape `text`, made at `now`; times are seconds since the epoch.
   *
   * `/metrics` serves a copy that is published now and then. The time of its counters is therefore `copyTime`, when it
   * was published or the Ledger last applied something, and not the time of the scrape: else rates would jump between 0
   * and twice the truth. The same copy again is no new point, and one that is older than what we have is left out. A
   * time of 0 is that of a Ledger which began anew.
   */
  push(now: number, text: string, copyTime: number | undefined, reading: Reading): Pushed {
    const last = this.#points.at(-1);
    const isReset = copyTime === 0;
    if (copyTime !== undefined && copyTime < this.#copyTime && !isReset) return "older";
    if (last && text === this.#lastText && now - last.time < QUIET_SECONDS) return "unchanged";
    const isBelieved = copyTime !== undefined && copyTime <= now && now - copyTime <= BELIEVED_SECONDS;
    const isNews = text !== this.#lastText && copyTime !== this.#copyTime;
    let time = isBelieved && isNews ? copyTime : now;
    if (last && time <= last.time) time = now;
    if (last && time <= last.time) return "older";
    this.#lastText = text;
    this.#copyTime = copyTime ?? this.#copyTime;
    this.#points.push({ time, counters: this.#grown(reading.counters), histograms: this.#grownHistograms(reading) });
    const oldest = time - KEPT_SECONDS;
    // One that is older stays: a window of the whole time begins there.
    while (this.#points.length > 2 && this.#points[1]!.time <= oldest) this.#points.shift();
    return "taken";
  }

  /** Times of all points, oldest first. */
  get times(): number[] {
    return this.#points.map((point) => point.time);
  }

  /** Counter keys of a family that were ever seen, as label values. */
  labels(family: string): string[] {
    const prefix = `${family}|`;
    return [...this.#raw.keys()].filter((key) => key.startsWith(prefix)).map((key) => key.slice(prefix.length));
  }

  /** The rate of a counter per second at each point; `null` where there is nothing to compare with. */
  rates(key: string): (number | null)[] {
    return this.#points.map((point, index) => {
      const from = this.#from(index, RATE_SECONDS);
      const after = point.counters.get(key);
      if (!from || after === undefined) return null;
      // A series that was not there yet had counted nothing: the first error ever must show.
      return (after - (from.counters.get(key) ?? 0)) / (point.time - from.time);
    });
  }

  /** By how much a counter grew in the time that is kept. */
  growth(key: string): number | undefined {
    const after = this.#points.at(-1)?.counters.get(key);
    return this.#points.length < 2 || after === undefined ? undefined : after - (this.#points[0]!.counters.get(key) ?? 0);
  }

  /** The observations of a histogram in the last `seconds` before each point. */
  windows(name: string, seconds = QUANTILE_SECONDS): (Buckets | undefined)[] {
    return this.#points.map((point, index) => difference(this.#from(index, seconds), point, name));
  }

  /** The observations of a histogram in all the time that is kept. */
  window(name: string): Buckets | undefined {
    const last = this.#points.at(-1);
    return last && this.#points.length > 1 ? difference(this.#points[0], last, name) : undefined;
  }

  /** How long the points reach back, in seconds. */
  get span(): number {
    return this.#points.length < 2 ? 0 : this.#points.at(-1)!.time - this.#points[0]!.time;
  }

  /** The latest point that is at least `seconds` older than this one; the oldest where none is. */
  #from(index: number, seconds: number): Point | undefined {
    if (index === 0) return undefined;
    const at = this.#points[index]!.time - seconds;
    let from = index - 1;
    while (from > 0 && this.#points[from]!.time > at) from -= 1;
    return this.#points[from];
  }

  #grown(counters: ReadonlyMap<string, number>): Map<string, number> {
    const grown = new Map<string, number>();
    for (const [key, value] of counters) {
      const before = this.#raw.get(key) ?? 0;
      // As PromQL: a counter that is lower than before began anew at 0.
      if (value < before) this.#lost.set(key, (this.#lost.get(key) ?? 0) + before);
      this.#raw.set(key, value);
      grown.set(key, value + (this.#lost.get(key) ?? 0));
    }
    return grown;
  }

  #grownHistograms(reading: Reading): Map<string, Buckets> {
    const grown = new Map<string, Buckets>();
    for (const [name, { bounds, counts }] of reading.histograms) {
      const before = this.#rawHistograms.get(name);
      const isSame = before?.bounds.length === bounds.length && before.bounds.every((b, i) => b === bounds[i]);
      const isReset = isSame && counts.at(-1)! < before.counts.at(-1)!;
      if (isReset) {
        for (const [index, count] of before.counts.entries()) {
          const key = `${name}|${index}`;
          this.#lost.set(key, (this.#lost.get(key) ?? 0) + count);
        }
      }
      this.#rawHistograms.set(name, { bounds, counts });
      grown.set(name, { bounds, counts: counts.map((count, i) => count + (this.#lost.get(`${name}|${i}`) ?? 0)) });
    }
    return grown;
  }
}

/** What came between two points; `undefined` where one of them has no such histogram, or other bounds. */
function difference(from: Point | undefined, to: Point, name: string): Buckets | undefined {
  const before = from?.histograms.get(name);
  const after = to.histograms.get(name);
  if (!before || !after || before.bounds.length !== after.bounds.length) return undefined;
  if (before.bounds.some((bound, index) => bound !== after.bounds[index])) return undefined;
  return { bounds: after.bounds, counts: after.counts.map((count, index) => count - before.counts[index]!) };
}
