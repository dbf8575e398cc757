// Which charts there are, and what of the history each shows.

import type { ChartData, ChartOptions, Series } from "./chart.ts";
import type { Exposition } from "./exposition.ts";
import * as format from "./format.ts";
import type { History } from "./history.ts";
import { distribution, quantile, type Bar } from "./quantile.ts";
import { buckets, type Buckets } from "./reading.ts";
import { isError } from "./tiles.ts";

/** A chart with what it shows. */
export interface ChartView {
  readonly options: ChartOptions;
  readonly caption: string;
  readonly data: ChartData;
}

/** Points in the table of a time series: the latest, newest first. */
const TABLE_ROWS = 24;
/** Bars of the latency: 18 buckets a decade are finer than a page is wide, every third is a bar. */
const LATENCY_BUCKETS_PER_BAR = 3;
const COLORS = ["--c1", "--c2", "--c3", "--c4", "--c5"];
const ERROR_COLORS = ["--e1", "--e2", "--e3", "--e4"];

/** All charts, from the history and the latest scrape. */
export function charts(history: History, latest: Exposition): ChartView[] {
  return [resolves(history), latency(history), latencyBars(history, latest), lag(history), batches(history, latest)];
}

function resolves(history: History): ChartView {
  const all = history.labels("confidence_resolves_total").map((reason) => ({
    reason,
    values: history.rates(`confidence_resolves_total|${reason}`),
  }));
  // A line for what happens; the table names every reason.
  const lively = all.filter(({ reason, values }) => values.some((rate) => rate) || reason.endsWith("_MATCH"));
  const shown = lively.filter(({ reason, values }) => values.some((rate) => rate) || !reason.includes("TREATMENT"));
  let [good, bad] = [0, 0];
  const series = shown.map(({ reason, values }): Series => {
    const color = isError(reason)
      ? ERROR_COLORS[bad++ % ERROR_COLORS.length]!
      : COLORS[good++ % COLORS.length]!;
    return { label: format.words(reason), color, values };
  });
  const options: ChartOptions = { id: "resolves", title: "Flags resolved per second", kind: "lines", format: format.short };
  return lines(history, options, "By reason", series, format.rate);
}

function latency(history: History): ChartView {
  const windows = history.windows("confidence_resolve_latency_microseconds");
  const options: ChartOptions = {
    ...{ id: "latency", title: "Resolve latency", kind: "lines", isLogarithmic: true },
    format: format.micros,
  };
  return lines(history, options, "Quantiles of the minute before", quantiles(windows, [0.5, 0.9, 0.99]), format.micros);
}

function lag(history: History): ChartView {
  const windows = history.windows("tributary_delta_age_seconds");
  const options: ChartOptions = { id: "lag", title: "Queue lag", kind: "lines", format: format.seconds };
  const caption = "Age of deltas when applied, quantiles of the minute before";
  return lines(history, options, caption, quantiles(windows, [0.5, 0.99]), format.seconds);
}

function quantiles(windows: readonly (Buckets | undefined)[], wanted: readonly number[]): Series[] {
  return wanted.map((q, index) => ({
    label: `p${q * 100}`,
    color: COLORS[index]!,
    values: windows.map((window) => (window && quantile(q, window)) ?? null),
  }));
}

function lines(
  history: History,
  options: ChartOptions,
  caption: string,
  series: readonly Series[],
  say: (value: number | null | undefined) => string,
): ChartView {
  const times = history.times;
  const rows = times
    .map((time, index) => [format.clock(time), ...series.map(({ values }) => say(values[index]))])
    .slice(-TABLE_ROWS)
    .reverse();
  const latest = series.map(({ label, values }) => `${label} ${say(values.at(-1))}`).join(", ");
  return {
    options,
    caption,
    data: {
      summary: `${options.title}. ${caption}. Now: ${latest || "nothing yet"}.`,
      x: times,
      series,
      table: { caption: `${options.title}, newest first`, columns: ["Time", ...series.map(({ label }) => label)], rows },
    },
  };
}

function latencyBars(history: History, latest: Exposition): ChartView {
  const name = "confidence_resolve_latency_microseconds";
  const options = { id: "distribution", title: "Latency distribution", of: ["resolve", "resolves"] } as const;
  return bars(history, latest, name, options, format.roughMicros, LATENCY_BUCKETS_PER_BAR);
}

function batches(history: History, latest: Exposition): ChartView {
  const options = { id: "batches", title: "Messages per batch", of: ["batch", "batches"] } as const;
  return bars(history, latest, "tributary_batch_messages", options, format.count, 1);
}

function bars(
  history: History,
  latest: Exposition,
  name: string,
  { id, title, of: [one, many] }: { id: string; title: string; of: readonly [string, string] },
  say: (value: number) => string,
  step: number,
): ChartView {
  const recent = history.window(name);
  const isRecent = (recent?.counts.at(-1) ?? 0) > 0;
  const shown = isRecent ? recent : buckets(latest, name);
  const all = shown ? distribution(shown, step) : [];
  const total = all.reduce((sum, bar) => sum + bar.count, 0);
  const span = isRecent ? `in ${format.seconds(Number(history.span.toPrecision(2)))}` : "since the counters began";
  const caption = total > 0 ? `${format.count(total)} ${total === 1 ? one : many} ${span}` : `No ${many} yet`;
  // Labels say the upper bound, which is inclusive: on batches of whole messages that is the size itself.
  const upper = (bar: Bar) => (bar.upper === Infinity ? `> ${say(bar.lower)}` : say(bar.upper));
  const range = (bar: Bar) => (bar.upper === Infinity ? upper(bar) : `${say(bar.lower)} – ${say(bar.upper)}`);
  const fullest = all.reduce<Bar | undefined>((best, bar) => (best && best.count >= bar.count ? best : bar), undefined);
  return {
    options: {
      ...{ id, title, kind: "bars", format: format.percent },
      xLabel: (x) => (all[Math.round(x)] ? upper(all[Math.round(x)]!) : ""),
    },
    caption,
    data: {
      summary: fullest ? `${title}: ${caption}, most of them ${range(fullest)}.` : `${title}: ${caption}.`,
      x: all.map((_, index) => index),
      series: [{ label: "Share", color: "--c1", values: all.map((bar) => bar.count / total) }],
      table: {
        caption: `${title}, ${caption}`,
        columns: ["Range", "Count", "Share"],
        rows: all.map((bar) => [range(bar), format.count(bar.count), format.percent(bar.count / total)]),
      },
    },
  };
}
