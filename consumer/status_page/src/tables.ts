// Exact totals, as /metrics says them.

import type { Table } from "./dom.ts";
import type { Exposition } from "./exposition.ts";
import * as format from "./format.ts";
import type { History } from "./history.ts";
import { sum, sumBy } from "./reading.ts";

/** A table with the id of its card. */
export interface TableView extends Table {
  readonly id: string;
}

/** All tables whose families are there. */
export function tables(history: History, latest: Exposition): TableView[] {
  const all = [
    byLabel(history, latest, "flags", "Flags resolved", "confidence_resolves_total", "reason"),
    byLabel(history, latest, "messages", "Queue messages", "tributary_messages_total", "outcome"),
    byLabel(history, latest, "deliveries", "Backend deliveries", "tributary_backend_requests_total", "outcome"),
    records(latest),
    deadLetters(latest),
    ledger(latest),
    otlp(latest),
  ];
  return all.filter((table) => table !== undefined && table.rows.length > 0) as TableView[];
}

function byLabel(
  history: History,
  latest: Exposition,
  id: string,
  caption: string,
  family: string,
  label: string,
): TableView {
  const all = [...sumBy(latest, family, label)];
  // What never happened is one line where it would be many.
  const never = all.filter(([, total]) => total === 0);
  const isShort = never.length <= 6;
  const rows = all
    .filter(([, total]) => isShort || total !== 0)
    .sort((a, b) => b[1] - a[1])
    .map(([value, total]) => {
      const rate = history.rates(`${family}|${value}`).at(-1);
      return [format.words(value), format.count(total), format.rate(rate)];
    });
  if (!isShort) rows.push([`${never.length} others`, "0", format.rate(0)]);
  return { id, caption, columns: [label[0]!.toUpperCase() + label.slice(1), "Total", "Now"], rows };
}

/** For each producer: sent = applied + missing + lost. */
function records(latest: Exposition): TableView {
  const families = [
    "tributary_records_sent_total",
    "tributary_records_applied_total",
    "tributary_records_missing",
    "tributary_lost_records_total",
  ].map((name) => sumBy(latest, name, "resolver_id"));
  const ids = new Set(families.flatMap((family) => [...family.keys()]));
  const rows = [...ids]
    .map((id) => ({ id, counts: families.map((family) => family.get(id)) }))
    // What never sent anything is of no interest, unless it is all there is.
    .filter(({ counts }) => counts.some((count) => count))
    .map(({ id, counts }) => [id || "consumer", ...counts.map(format.count)]);
  return { id: "records", caption: "Records by producer", columns: ["Producer", "Sent", "Applied", "Missing", "Lost"], rows };
}

function deadLetters(latest: Exposition): TableView | undefined {
  const letters = sumBy(latest, "tributary_dead_letters", "reason");
  if (letters.size === 0) return undefined;
  const kept = [...letters].filter(([, count]) => count > 0);
  const changes = sumBy(latest, "tributary_dead_letter_changes_total", "change");
  const rows = [
    ...(kept.length > 0 ? kept : [["none in the store", 0] as const]).map(([reason, count]) => [
      format.words(reason),
      format.count(count),
    ]),
    ...[...changes].map(([change, count]) => [`${format.words(change)}, ever`, format.count(count)]),
  ];
  return { id: "dead-letters", caption: "Dead letters", columns: ["Reason", "Letters"], rows };
}

function ledger(latest: Exposition): TableView {
  const one = (label: string, name: string, say = format.count): string[][] => {
    const value = sum(latest, name);
    return value === undefined ? [] : [[label, say(value)]];
  };
  const written = (outcome: string) => sum(latest, "tributary_kv_writes_total", { outcome });
  const rows = [
    ...[...sumBy(latest, "tributary_ledger_streams", "kind")].map(([kind, n]) => [`${kind} streams`, format.count(n)]),
    ...one("series", "tributary_ledger_series"),
    ...one("series refused", "tributary_refused_series_total"),
    ...one("telemetry refused", "tributary_refused_telemetry_total"),
    ...one("assignments dropped", "tributary_dropped_assignments_total"),
    ["KV writes", `${format.count(written("written"))}, failed ${format.count(written("failed"))}`],
    ...one("scrapes failed", "tributary_scrape_failures_total"),
    ...one("stale copies passed over", "tributary_stale_copies_total"),
    ...[...sumBy(latest, "tributary_build_info", "version").keys()].map((version) => ["published by", version]),
    ...one("resolver memory", "confidence_memory_bytes", format.bytes),
  ];
  return { id: "ledger", caption: "Ledger and store", columns: ["What", "Value"], rows };
}

/** Whatever the OTLP push says of itself; nothing where it does not run. */
function otlp(latest: Exposition): TableView {
  const rows = [...latest]
    .filter(([name]) => name.startsWith("tributary_otlp_") && !/_(bucket|sum|count|created)$/.test(name))
    .flatMap(([name, samples]) =>
      samples.map(({ labels, value }) => {
        const what = name.replace(/^tributary_otlp_/, "").replace(/_total$/, "");
        return [format.words([what, ...labels.values()].join(" ")), format.short(value)];
      }),
    );
  return { id: "otlp", caption: "OTLP push", columns: ["What", "Value"], rows };
}
