// What recording costs in workerd, in CPU time of its process: a Worker's own clock stands still.
//
//   wrangler/npm.sh && node emitter/npm/bench/workerd.mjs

import { execFileSync } from "node:child_process";
import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { convertV4MiniflareOptions, Miniflare } from "../../../tests/miniflare/serve.mjs";

const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const folder = mkdtempSync(join(tmpdir(), "tributary-bench-"));
const script = join(folder, "worker.js");
execFileSync(here("../../../wrangler/node_modules/.bin/esbuild"), [
  here("worker.ts"), "--bundle", "--format=esm", "--conditions=workerd,browser",
  `--tsconfig=${here("../example/tsconfig.json")}`, `--outfile=${script}`, "--log-level=warning",
]);

/** Ticks of all processes below this one, which are hundredths of a second. */
function ticks() {
  const stats = readdirSync("/proc").filter((name) => /^\d+$/.test(name)).flatMap((pid) => {
    try {
      return [[Number(pid), readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ")]];
    } catch {
      return []; // It ended meanwhile.
    }
  });
  const below = new Set([process.pid]);
  for (let before = 0; before !== below.size; ) {
    before = below.size;
    for (const [pid, fields] of stats) if (below.has(Number(fields[1]))) below.add(pid);
  }
  below.delete(process.pid);
  return stats.filter(([pid]) => below.has(pid)).reduce((sum, [, fields]) => sum + Number(fields[11]), 0);
}

const miniflare = new Miniflare(
  convertV4MiniflareOptions({
    modules: [{ type: "ESModule", path: script }],
    modulesRoot: folder,
    compatibilityDate: "2026-10-01",
  }),
);
const call = async (path) => miniflare.dispatchFetch(`http://bench/${path}`);
const n = 5_000_000;
for (const what of await (await call("")).json()) {
  await (await call(`${encodeURIComponent(what)}?n=200000`)).text();
  const before = ticks();
  await (await call(`${encodeURIComponent(what)}?n=${n}`)).text();
  console.log(`${(((ticks() - before) * 1e7) / n).toFixed(0).padStart(6)} ns  ${what}`);
}
await miniflare.dispose();
rmSync(folder, { recursive: true });
