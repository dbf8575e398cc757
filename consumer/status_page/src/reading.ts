// What the page keeps of one scrape: sums by the label that is shown, so that its size does not grow with producers.

import type { Exposition } from "./exposition.ts";

/** Cumulative counts under inclusive upper bounds, the last of which is +Inf. */
export interface Buckets {
  readonly bounds: readonly number[];
  readonly counts: readonly number[];
}

/** One scrape, reduced. A family that is absent is absent here, too: absent is not 0. */
export interface Reading {
  /** Counters by family and label value, as `family` or `family|value`. */
  readonly counters: ReadonlyMap<string, number>;
  readonly histograms: ReadonlyMap<string, Buckets>;
}

/** Counters whose rates are shown, with the label that they are shown by. */
export const COUNTERS = {
  confidence_resolves_total: "reason",
  confidence_resolve_latency_microseconds_count: "",
  tributary_messages_total: "outcome",
  tributary_backend_requests_total: "outcome",
} as const;

/** Histograms of which quantiles are shown. */
export const HISTOGRAMS = [
  "confidence_resolve_latency_microseconds",
  "tributary_delta_age_seconds",
  "tributary_batch_messages",
] as const;

/** The sum of a family over all series, or over those with these labels; `undefined` where there is none. */
export function sum(
  exposition: Exposition,
  name: string,
  where: Readonly<Record<string, string>> = {},
): number | undefined {
  const matching = exposition
    .get(name)
    ?.filter(({ labels }) => Object.entries(where).every(([label, value]) => labels.get(label) === value));
  if (!matching?.length) return undefined;
  return matching.reduce((total, sample) => total + sample.value, 0);
}

/** Sums of a family by the value of one label, in the order of the text; empty where the family is absent. */
export function sumBy(exposition: Exposition, name: string, label: string): Map<string, number> {
  const sums = new Map<string, number>();
  for (const sample of exposition.get(name) ?? []) {
    const value = sample.labels.get(label) ?? "";
    sums.set(value, (sums.get(value) ?? 0) + sample.value);
  }
  return sums;
}

/** The buckets of a histogram, summed over all series by `le`; `undefined` where there are none or no +Inf. */
export function buckets(exposition: Exposition, name: string): Buckets | undefined {
  const byBound = new Map<number, number>();
  for (const { labels, value } of exposition.get(`${name}_bucket`) ?? []) {
    const le = labels.get("le");
    if (le === undefined) return undefined;
    const bound = le === "+Inf" ? Infinity : Number(le);
    if (Number.isNaN(bound)) return undefined;
    byBound.set(bound, (byBound.get(bound) ?? 0) + value);
  }
  const bounds = [...byBound.keys()].sort((a, b) => a - b);
  if (bounds.at(-1) !== Infinity) return undefined;
  return { bounds, counts: bounds.map((bound) => byBound.get(bound)!) };
}

/** Reduces a scrape to what the history keeps. */
export function read(exposition: Exposition): Reading {
  const counters = new Map<string, number>();
  for (const [name, label] of Object.entries(COUNTERS)) {
    if (label === "") {
      const total = sum(exposition, name);
      if (total !== undefined) counters.set(name, total);
    } else {
      for (const [value, total] of sumBy(exposition, name, label)) counters.set(`${name}|${value}`, total);
    }
  }
  const histograms = new Map<string, Buckets>();
  for (const name of HISTOGRAMS) {
    const found = buckets(exposition, name);
    if (found) histograms.set(name, found);
  }
  return { counters, histograms };
}
