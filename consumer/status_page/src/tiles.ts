// The numbers at the top: the ones that somebody asks for first.

import type { Exposition } from "./exposition.ts";
import * as format from "./format.ts";
import type { History } from "./history.ts";
import { quantile } from "./quantile.ts";
import { sum, sumBy } from "./reading.ts";

/** A number with its name, a remark, and whether it needs somebody. */
export interface Tile {
  readonly id: string;
  readonly label: string;
  readonly value: string;
  readonly note: string;
  readonly state: "" | "warn" | "bad";
}

/** The `tributary_messages_total` outcomes of a resolve that went wrong, as `reason` labels. */
const NO_ERRORS = new Set(
  ["MATCH", "NO_SEGMENT_MATCH", "NO_TREATMENT_MATCH", "FLAG_ARCHIVED", "UNSPECIFIED"].map(
    (reason) => `RESOLVE_REASON_${reason}`,
  ),
);

/** True for a reason that says that something went wrong. */
export function isError(reason: string): boolean {
  return !NO_ERRORS.has(reason);
}

/** The latest rate of a counter. */
function rateOf(history: History, key: string): number | undefined {
  return history.rates(key).at(-1) ?? undefined;
}

/** Sums what is there; `undefined` where nothing is. */
function total(values: readonly (number | undefined)[]): number | undefined {
  const known = values.filter((value) => value !== undefined);
  return known.length > 0 ? known.reduce((a, b) => a + b, 0) : undefined;
}

/** All tiles, from the history and the latest scrape. */
export function tiles(history: History, latest: Exposition): Tile[] {
  const requests = rateOf(history, "confidence_resolve_latency_microseconds_count");
  const reasons = history.labels("confidence_resolves_total");
  const rate = (reason: string) => rateOf(history, `confidence_resolves_total|${reason}`);
  const flags = total(reasons.map(rate));
  const errors = total(reasons.filter(isError).map(rate));
  const errorShare = errors !== undefined && flags ? errors / flags : undefined;
  const latencies = history.windows("confidence_resolve_latency_microseconds").at(-1);
  const latency = (q: number) => format.micros(latencies && quantile(q, latencies));
  const ages = history.windows("tributary_delta_age_seconds").at(-1);
  const age = (q: number) => ages && quantile(q, ages);
  return [
    tile("requests", "Resolves", format.rate(requests), `${format.rate(flags)} flags`),
    tile(
      "errors",
      "Errors",
      format.rate(errors),
      errorShare === undefined ? "of flags resolved" : `${format.percent(errorShare)} of flags`,
      errorShare !== undefined && errorShare > 0.01 ? "warn" : "",
    ),
    tile("p50", "Latency p50", latency(0.5), "last minute"),
    tile("p99", "Latency p99", latency(0.99), `p90 ${latency(0.9)}`),
    tile(
      "lag",
      "Queue lag p50",
      format.seconds(age(0.5)),
      `p99 ${format.seconds(age(0.99))}`,
      (age(0.5) ?? 0) > 30 ? "warn" : "",
    ),
    backend(history),
    deadLetters(latest),
    lost(latest),
  ];
}

function tile(id: string, label: string, value: string, note: string, state: Tile["state"] = ""): Tile {
  return { id, label, value, note, state };
}

function backend(history: History): Tile {
  const growth = (outcome: string) => history.growth(`tributary_backend_requests_total|${outcome}`);
  const outcomes = history.labels("tributary_backend_requests_total");
  const all = total(outcomes.map(growth));
  const delivered = growth("delivered") ?? 0;
  const share = all ? delivered / all : undefined;
  const failed = all === undefined ? undefined : all - delivered;
  const note = all === 0 ? "nothing sent lately" : `${format.count(failed)} of ${format.count(all)} failed`;
  const state = share === undefined || share === 1 ? "" : share < 0.5 ? "bad" : "warn";
  return tile("backend", "Backend took", format.percent(share), all === undefined ? "deliveries" : note, state);
}

function deadLetters(latest: Exposition): Tile {
  const letters = sum(latest, "tributary_dead_letters");
  const size = sum(latest, "tributary_dead_letters_size_bytes");
  const [reason] = [...sumBy(latest, "tributary_dead_letters", "reason")].sort((a, b) => b[1] - a[1])[0] ?? [];
  const note = letters ? `${format.bytes(size)}, most: ${format.words(reason ?? "")}` : "in the store";
  return tile("dead", "Dead letters", format.count(letters), note, letters ? "warn" : "");
}

function lost(latest: Exposition): Tile {
  const records = sum(latest, "tributary_lost_records_total");
  const missing = sum(latest, "tributary_records_missing");
  return tile("lost", "Lost records", format.count(records), `${format.count(missing)} missing now`, records ? "warn" : "");
}
