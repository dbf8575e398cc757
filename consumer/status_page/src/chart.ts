// Charts: uPlot draws, the table of the same numbers below says them to everybody else.

import uPlot from "uplot";
import { el, setText, showTable, type Table } from "./dom.ts";
import { DASH } from "./format.ts";

const HEIGHT = 220;
/** The least time that a time axis shows. */
const LEAST_SPAN_SECONDS = 120;

/** One line or set of bars; `color` is the name of a CSS variable. */
export interface Series {
  readonly label: string;
  readonly color: string;
  readonly values: readonly (number | null)[];
}

/** What a chart shows now. */
export interface ChartData {
  /** One sentence: what a sighted person sees at a glance. */
  readonly summary: string;
  readonly x: readonly number[];
  readonly series: readonly Series[];
  readonly table: Table;
}

/** How a chart looks. */
export interface ChartOptions {
  readonly id: string;
  readonly title: string;
  readonly kind: "lines" | "bars";
  /** Values, on the axis and in the legend. */
  readonly format: (value: number) => string;
  /** Names of the bars; for lines x is time. */
  readonly xLabel?: (x: number) => string;
  readonly isLogarithmic?: boolean;
}

const dark = window.matchMedia("(prefers-color-scheme: dark)");
const cssColor = (name: string) => getComputedStyle(document.documentElement).getPropertyValue(name).trim();
const time = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });

/** The steps 1, 2, 5, 10, … of a logarithmic axis; where they are many, the powers of ten. */
function steps(min: number, max: number): number[] {
  const all: number[] = [];
  for (let power = Math.floor(Math.log10(min)); power <= Math.log10(max); power += 1) {
    for (const digit of [1, 2, 5]) all.push(Number(`${digit}e${power}`));
  }
  const inside = all.filter((step) => step >= min && step <= max);
  return inside.length > 8 ? inside.filter((step) => Number.isInteger(Math.log10(step))) : inside;
}

/** The step of such an axis at or below a value (`direction` -1), or at or above it (1). */
function step(value: number | null, direction: -1 | 1): number {
  const power = Math.floor(Math.log10(Math.max(value ?? 1, 1e-9)));
  const around = [1, 2, 5, 10].map((digit) => Number(`${digit}e${power}`));
  const found = direction < 0 ? around.findLast((n) => n <= value!) : around.find((n) => n >= value!);
  return found ?? around[direction < 0 ? 0 : 3]!;
}

/** A card with a chart. */
export class Chart {
  readonly element: HTMLElement;
  #options: ChartOptions;
  readonly #caption = el("p", { class: "quiet" });
  readonly #plot = el("div", { class: "plot", role: "img" });
  readonly #empty = el("p", { class: "empty quiet" }, "Nothing to show yet");
  readonly #table = el("div", { class: "scroll", tabindex: "0" });
  readonly #details = el("details", {}, el("summary", {}, "Numbers"), this.#table);
  #chart: uPlot | undefined;
  #shape = "";
  #data: ChartData | undefined;

  constructor(options: ChartOptions) {
    this.#options = options;
    const title = el("h2", { id: `${options.id}-title` }, options.title);
    this.#table.setAttribute("role", "region");
    this.#table.setAttribute("aria-label", `${options.title}: numbers`);
    this.element = el(
      "article",
      { class: "card", id: options.id, "aria-labelledby": `${options.id}-title` },
      title,
      this.#caption,
      this.#plot,
      this.#details,
    );
    this.#details.addEventListener("toggle", () => this.#showTable());
    new ResizeObserver(() => this.#chart?.setSize({ width: this.#plot.clientWidth, height: HEIGHT })).observe(this.#plot);
    // The legend's marks are coloured once, so a new scheme is a new chart.
    dark.addEventListener("change", () => {
      this.#shape = "";
      if (this.#data) this.show(this.#data, this.#caption.textContent ?? "", this.#options);
    });
  }

  /** Shows these data; the names of bars may have changed with them. */
  show(data: ChartData, caption: string, options: ChartOptions): void {
    this.#data = data;
    this.#options = options;
    setText(this.#caption, caption);
    this.#plot.setAttribute("aria-label", data.summary);
    this.#showTable();
    const columns = [data.x, ...data.series.map((series) => series.values)] as unknown as uPlot.AlignedData;
    const isEmpty = !data.series.some((series) => series.values.some((value) => value !== null));
    const shape = isEmpty ? "" : JSON.stringify(data.series.map(({ label, color }) => [label, color]));
    if (shape !== this.#shape) {
      this.#shape = shape;
      this.#chart?.destroy();
      this.#chart = undefined;
      this.#plot.replaceChildren(...(isEmpty ? [this.#empty] : []));
      if (!isEmpty) this.#chart = new uPlot(this.#uplotOptions(data), columns, this.#plot);
    } else {
      this.#chart?.setData(columns);
    }
    this.#showLatest();
  }

  /** Without a cursor the legend says the latest values, or the fullest bar. */
  #showLatest(): void {
    const chart = this.#chart;
    if (!chart || (chart.cursor.idx !== null && chart.cursor.idx !== undefined)) return;
    const values = [...(chart.data[1] ?? [])];
    const fullest = values.reduce<number>((best, value, at) => ((value ?? 0) > (values[best] ?? 0) ? at : best), 0);
    chart.setLegend({ idx: this.#options.kind === "bars" ? fullest : chart.data[0].length - 1 });
  }

  #showTable(): void {
    if (this.#details.open && this.#data) showTable(this.#table, this.#data.table);
  }

  #uplotOptions(data: ChartData): uPlot.Options {
    const { format, kind, isLogarithmic } = this.#options;
    const xLabel = (x: number) => this.#options.xLabel?.(x) ?? time.format(x * 1000);
    const bars = uPlot.paths.bars!({ size: [0.86, 56], radius: 0.15 });
    const isBars = kind === "bars";
    const axis = { stroke: () => cssColor("--quiet"), font: "12px system-ui, sans-serif" };
    const grid = { stroke: () => cssColor("--grid"), width: 1 };
    const known = (value: number | null) => (value === null || value === undefined ? DASH : format(value));
    return {
      width: this.#plot.clientWidth,
      height: HEIGHT,
      // The legend is there to read; series are not switched off by the mouse alone.
      cursor: { y: false, drag: { x: false, y: false }, points: { show: !isBars } },
      hooks: { setCursor: [() => this.#showLatest()] },
      scales: {
        x: isBars
          ? { time: false, range: (u) => [-0.6, u.data[0].length - 0.4] }
          : { range: (_, min, max) => [Math.min(min, max - LEAST_SPAN_SECONDS), max] },
        y: isLogarithmic ? { distr: 3, range: (_, min, max) => [step(min, -1), Math.max(step(max, 1), 2 * step(min, -1))] } : { range: (_, __, max) => [0, max > 0 ? max * 1.08 : 1] },
      },
      axes: [
        {
          ...axis,
          grid: { show: false },
          ticks: { show: false },
          size: 34,
          space: isBars ? 52 : 80,
          incrs: isBars ? [1, 2, 3, 4, 6, 12, 18, 36] : [5, 10, 15, 30, 60, 120, 180, 300],
          values: (_, splits, __, ___, increment) =>
            splits.map((x) => (isBars ? (Number.isInteger(x) ? xLabel(x) : "") : xLabel(x).slice(0, increment < 60 ? 8 : 5))),
        },
        {
          ...axis,
          grid,
          ticks: { show: false },
          size: 62,
          values: (_, splits) => splits.map(format),
          ...(isLogarithmic ? { splits: (_, __, min, max) => steps(min, max), filter: (_, splits) => splits } : {}),
        },
      ],
      series: [
        { value: (_, x) => (x === null ? DASH : xLabel(x)), label: isBars ? "Up to" : "Time" },
        ...data.series.map(({ label, color }): uPlot.Series => ({
          label,
          stroke: () => cssColor(color),
          width: isBars ? 0 : 2,
          // Not by colour alone: errors are dashed.
          ...(color.startsWith("--e") ? { dash: [7, 4] } : {}),
          ...(isBars ? { fill: () => cssColor(color), paths: bars } : {}),
          // A line of one point is none.
          points: { show: (_, __, first, last) => !isBars && last - first < 4, size: 6 },
          spanGaps: false,
          value: (_, value) => known(value),
        })),
      ],
    };
  }
}
