// Quantiles of histograms, as PromQL's histogram_quantile has them.

import type { Buckets } from "./reading.ts";

/**
 * The `q`-quantile (0 to 1) of cumulative buckets: linear within the bucket that holds it, from 0 in the first one, and
 * the highest finite bound where it lies above that. `undefined` without observations.
 */
export function quantile(q: number, { bounds, counts }: Buckets): number | undefined {
  const total = counts.at(-1);
  if (total === undefined || !(total > 0)) return undefined;
  const rank = q * total;
  const index = counts.findIndex((count) => count >= rank && count > 0);
  const bound = bounds[index];
  if (bound === undefined) return undefined;
  if (bound === Infinity) return bounds[index - 1];
  if (index === 0 && bound <= 0) return bound;
  const lower = index === 0 ? 0 : bounds[index - 1]!;
  const below = index === 0 ? 0 : counts[index - 1]!;
  const inside = counts[index]! - below;
  return inside > 0 ? lower + (bound - lower) * ((rank - below) / inside) : bound;
}

/** One bar of a distribution: how many observations lie in `(lower, upper]`. */
export interface Bar {
  readonly lower: number;
  readonly upper: number;
  readonly count: number;
}

/**
 * The bars of cumulative buckets, every `step` of them together, from the first that holds anything to the last. Steps
 * are counted from the end of the finite bounds, so that bars stay where they are while others come into view.
 */
export function distribution({ bounds, counts }: Buckets, step = 1): Bar[] {
  const bars: Bar[] = [];
  const finite = bounds.length - 1;
  let lower = 0;
  let below = 0;
  for (const [index, upper] of bounds.entries()) {
    const isEnd = upper === Infinity || (finite - 1 - index) % step === 0;
    if (!isEnd) continue;
    bars.push({ lower, upper, count: counts[index]! - below });
    [lower, below] = [upper, counts[index]!];
  }
  const first = bars.findIndex((bar) => bar.count > 0);
  const last = bars.findLastIndex((bar) => bar.count > 0);
  return first < 0 ? [] : bars.slice(first, last + 1);
}
