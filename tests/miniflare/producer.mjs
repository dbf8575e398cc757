// The producer Worker in Miniflare (real workerd), reachable over HTTP on loopback. What it sends to its queue goes to
// FAULT_URL (faults.js), which is the test's.
//
// Arguments: the folder of the build, the folder to persist in, and the bindings as JSON.

import { convertV4MiniflareOptions, Miniflare, modules, read, serve } from "./serve.mjs";

const [build, persist, bindings] = process.argv.slice(2);

const miniflare = new Miniflare({
  ...convertV4MiniflareOptions({
    host: "127.0.0.1",
    workers: [
      {
        name: "producer",
        modulesRoot: build,
        modules: modules(build, ["producer_faults.js", "faults.js"]),
        compatibilityDate: "2026-10-01",
        kvNamespaces: { CONFIDENCE_STATE_KV: "state" },
        bindings: JSON.parse(bindings),
      },
    ],
  }),
  resourcePersistencePath: persist,
});
const producer = await miniflare.getWorker("producer");

serve(miniflare, "producer", async (url, request) => {
  const body = request.method === "GET" ? undefined : await read(request);
  return producer.fetch(url.href, { method: request.method, headers: request.headers, body });
});
