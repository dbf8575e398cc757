// The consumer Worker in Miniflare (real workerd), reachable over HTTP on loopback, so that a test can hand it queue
// messages with ids, attempts and bodies of its choice and see what it does with each.
//
//   POST /queue            JSON [{id, attempts, timestampMs, base64 | text | object}]; answers with the queue's result
//   POST /dead-queue       the same for the dead-letter queue
//   POST /peer-queue       sends the body as a string to flag-logs-queue, as Spotify's resolver does, with the content
//                          type of the header x-content-type; the emulator delivers it to the consumer
//   POST /deltas           JSON [base64]: sends each to tributary-deltas; the emulator delivers them, in batches of its own
//   POST /scheduled        fires the cron trigger; answers with what the runtime says of it
//   anything else          goes to the Worker, but for what serve.mjs keeps for itself
//
// Arguments: the folder of the build, the folder to persist in, and the bindings as JSON.

import { convertV4MiniflareOptions, Miniflare, modules, read, serve } from "./serve.mjs";

const [build, persist, json] = process.argv.slice(2);
const bindings = JSON.parse(json);
// With faults asked for, their module stands in front of the build's.
const faults = "FAULT_URL" in bindings ? ["consumer_faults.js", "faults.js"] : [];

const miniflare = new Miniflare({
  ...convertV4MiniflareOptions({
    host: "127.0.0.1",
    workers: [
      {
        name: "consumer",
        modulesRoot: build,
        modules: modules(build, faults),
        compatibilityDate: "2026-10-01",
        durableObjects: { LEDGER: { className: "Ledger", useSQLite: true } },
        queueProducers: { DEAD: "tributary-deltas-dead", DELTAS: "tributary-deltas" },
        // What the consumer gives up comes back to it, as in wrangler/consumer.toml, and so does what is redriven.
        queueConsumers: {
          "tributary-deltas": { maxBatchSize: 100, maxBatchTimeout: 0.1, maxRetries: 20 },
          // The queue of Spotify's resolver, as docs/migration.md attaches it.
          "flag-logs-queue": { maxBatchSize: 100, maxBatchTimeout: 0.1, maxRetries: 20 },
          "tributary-deltas-dead": { maxBatchSize: 20, maxBatchTimeout: 0.1, maxRetries: 100 },
        },
        kvNamespaces: { CONFIDENCE_METRICS_KV: "metrics", CONFIDENCE_STATE_KV: "state" },
        bindings,
      },
      {
        name: "peer",
        modules: true,
        script: `export default { async fetch(request, env) {
          if (new URL(request.url).pathname === "/deltas") {
            for (const message of await request.json()) {
              await env.deltas.send(Uint8Array.from(atob(message), (byte) => byte.charCodeAt(0)), { contentType: "bytes" });
            }
            return new Response("sent");
          }
          const contentType = request.headers.get("x-content-type");
          await env.flag_logs_queue.send(await request.text(), contentType ? { contentType } : undefined);
          return new Response("sent");
        } }`,
        compatibilityDate: "2026-10-01",
        queueProducers: { flag_logs_queue: "flag-logs-queue", deltas: "tributary-deltas" },
      },
    ],
  }),
  resourcePersistencePath: persist,
});
const consumer = await miniflare.getWorker("consumer");
const peer = await miniflare.getWorker("peer");

function message({ id, attempts, timestampMs, base64, text, object }) {
  const content = base64 !== undefined ? new Uint8Array(Buffer.from(base64, "base64")) : (text ?? object);
  return { id, attempts, timestamp: new Date(timestampMs), body: content };
}

serve(miniflare, "consumer", async (url, request) => {
  if (url.pathname === "/queue" || url.pathname === "/dead-queue") {
    const messages = JSON.parse(await read(request)).map(message);
    const queue = url.pathname === "/queue" ? "tributary-deltas" : "tributary-deltas-dead";
    return Response.json(await consumer.queue(queue, messages));
  }
  if (url.pathname === "/scheduled") return Response.json(await consumer.scheduled({ cron: "* * * * *" }));
  const hasBody = request.method === "POST" || request.method === "PUT";
  const body = hasBody ? await read(request) : undefined;
  const init = { method: request.method, headers: request.headers, body, redirect: "manual" };
  return ["/peer-queue", "/deltas"].includes(url.pathname) ? peer.fetch(url.href, init) : consumer.fetch(url.href, init);
});
