// The status page: reads /metrics, keeps a short history, shows it.

import { Chart } from "./chart.ts";
import { charts } from "./charts.ts";
import { byId, el, setText, showTable } from "./dom.ts";
import { ExpositionError, parse, type Exposition } from "./exposition.ts";
import { banner, freshness, type Health } from "./health.ts";
import { History } from "./history.ts";
import { get, poll, ReadFailure } from "./poll.ts";
import { read, sum } from "./reading.ts";
import { tables } from "./tables.ts";
import { tiles } from "./tiles.ts";
import { text as versionsText, watch } from "./versions.ts";

const OPENMETRICS = "application/openmetrics-text;version=1.0.0";
const now = () => Date.now() / 1000;

const history = new History();
const shownCharts = new Map<string, Chart>();
const versions = watch();
let health: Health = {};
let isPaused = false;

async function step(): Promise<boolean> {
  try {
    const response = await get("/metrics", OPENMETRICS);
    const isOpenMetrics = response.headers.get("Content-Type")?.startsWith("application/openmetrics-text") ?? false;
    const text = await response.text();
    const exposition = parse(text, isOpenMetrics);
    const lastApplied = sum(exposition, "tributary_last_applied_timestamp_seconds");
    const published = sum(exposition, "tributary_published_timestamp_seconds");
    const at = now();
    const pushed = history.push(at, text, published ?? lastApplied, read(exposition));
    const isNews = pushed !== "older";
    health = {
      lastRead: at,
      lastNews: isNews ? at : health.lastNews,
      lastApplied: isNews ? lastApplied : health.lastApplied,
      published: isNews ? published : health.published,
    };
    if (isNews) show(exposition);
    setText(byId("versions"), versionsText(await versions.latest()));
    return true;
  } catch (error) {
    const isSignedOut = error instanceof ReadFailure && error.isSignedOut;
    health = { ...health, failure: said(error), isSignedOut };
    if (isSignedOut) poller.stop();
    return false;
  } finally {
    showHealth();
  }
}

function said(error: unknown): string {
  if (error instanceof ReadFailure) return error.message;
  if (error instanceof ExpositionError) return `not an exposition, ${error.message}`;
  return "the connection broke";
}

function show(latest: Exposition): void {
  byId("content").setAttribute("aria-busy", "false");
  showTiles(latest);
  for (const { options, caption, data } of charts(history, latest)) {
    let chart = shownCharts.get(options.id);
    if (!chart) {
      chart = new Chart(options);
      shownCharts.set(options.id, chart);
      byId("charts").append(chart.element);
    }
    chart.show(data, caption, options);
  }
  const all = tables(history, latest);
  for (const table of all) {
    let card = document.getElementById(table.id);
    if (!card) {
      card = el("div", { class: "card scroll", id: table.id });
      byId("tables").append(card);
    }
    showTable(card, table);
  }
}

function showTiles(latest: Exposition): void {
  const parent = byId("tiles");
  for (const { id, label, value, note, state } of tiles(history, latest)) {
    let tile = document.getElementById(`tile-${id}`);
    if (!tile) {
      tile = el("div", { class: "tile", id: `tile-${id}` }, el("dt", {}, label));
      tile.append(el("dd", { class: "value" }), el("dd", { class: "note" }));
      parent.append(tile);
    }
    tile.dataset["state"] = state;
    const [, valueElement, noteElement] = tile.children;
    setText(valueElement!, value);
    setText(noteElement!, note);
  }
}

function showHealth(): void {
  const { text, level } = banner(health, now());
  const element = byId("banner");
  element.className = level;
  setText(element, text);
  const line = byId("freshness");
  line.dataset["state"] = isPaused ? "paused" : health.failure === undefined ? "live" : "failing";
  setText(line, freshness(health, isPaused, now()));
}

const poller = poll(step);
const pause = byId("pause");
pause.addEventListener("click", () => {
  isPaused = !isPaused;
  pause.setAttribute("aria-pressed", String(isPaused));
  setText(pause, isPaused ? "Resume" : "Pause");
  poller.pause(isPaused);
  showHealth();
});
window.setInterval(showHealth, 1000);
