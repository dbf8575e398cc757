// Both Workers, or the consumer alone, in one workerd with queue, KV and Durable Object, reached directly and not through a
// server of Node: for measuring the whole.
//
//   POST /feed             (the consumer alone) puts messages onto the queue: JSON, a list of batches of base64
//   anything else          goes to the producer, or where that is not there to the consumer
//
// Arguments: the repository, the folder to persist in, a file with the resolver state, and JSON: the folder of the
// producer's build (null: the consumer alone), and the bindings of both. Prints URL=<url>; ends with the end of its standard
// input.

import { readFileSync } from "node:fs";
import { convertV4MiniflareOptions, Miniflare, modules } from "./serve.mjs";

const [repository, persist, state, json] = process.argv.slice(2);
const { build, producer, consumer } = JSON.parse(json);
const compatibilityDate = "2026-10-01";
const worker = (folder) => ({ modulesRoot: folder, modules: modules(folder, []), compatibilityDate });

const front = build
  ? {
      name: "producer",
      ...worker(`${repository}/${build}`),
      queueProducers: { DELTAS: "tributary-deltas" },
      kvNamespaces: { CONFIDENCE_STATE_KV: "state" },
      serviceBindings: { METRICS: "consumer" },
      bindings: producer,
    }
  : {
      name: "feed",
      modules: true,
      script: `export default { async fetch(request, env) {
        if (new URL(request.url).pathname !== "/feed") return env.METRICS.fetch(request);
        const bytes = (text) => Uint8Array.from(atob(text), (character) => character.charCodeAt(0));
        for (const batch of await request.json()) {
          await env.DELTAS.sendBatch(batch.map((text) => ({ body: bytes(text), contentType: "bytes" })));
        }
        return new Response("fed");
      } }`,
      compatibilityDate,
      queueProducers: { DELTAS: "tributary-deltas" },
      serviceBindings: { METRICS: "consumer" },
    };
const miniflare = new Miniflare({
  ...convertV4MiniflareOptions({
    host: "127.0.0.1",
    port: 0,
    workers: [
      front,
      {
        name: "consumer",
        ...worker(`${repository}/consumer/build`),
        durableObjects: { LEDGER: { className: "Ledger", useSQLite: true } },
        queueProducers: { DEAD: "tributary-deltas-dead", DELTAS: "tributary-deltas" },
        // As in wrangler/consumer.toml, but for the time that a batch waits for more.
        queueConsumers: {
          "tributary-deltas": { maxBatchSize: 100, maxBatchTimeout: 0.2, maxRetries: 20 },
          "tributary-deltas-dead": { maxBatchSize: 20, maxBatchTimeout: 2, maxRetries: 100 },
        },
        kvNamespaces: { CONFIDENCE_METRICS_KV: "metrics", CONFIDENCE_STATE_KV: "state" },
        bindings: consumer,
      },
    ],
  }),
  resourcePersistencePath: persist,
});
const url = await miniflare.ready;
const store = await miniflare.getKVNamespace("CONFIDENCE_STATE_KV", "consumer");
await store.put("resolver_state", readFileSync(state));
console.log(`URL=${url}`);

const stop = async () => {
  await miniflare.dispose();
  process.exit(0);
};
process.on("SIGTERM", stop);
process.stdin.resume().on("end", stop);
