// An installation with Workers that are not ours beside it, in Miniflare (real workerd): the consumer, the producer, and
// the examples of emitter/example, emitter/otel and emitter/npm, all of them on one queue, which is Miniflare's own, or, with
// QUEUE_SHARDS among the bindings, on so many.
//
//   POST /orders…          goes to the example
//   /shop/…                goes to the example, too, whose queues refuse to order (refusal.js)
//   /cafe/…                goes to the example of emitter/otel, the same
//   /kiosk/…               goes to the example of emitter/npm, the same
//   POST /v1/…             goes to the producer
//   POST /send             JSON [base64]; sends messages of bytes to the queue, as any Worker with a binding can
//   anything else          goes to the consumer, but for what serve.mjs keeps for itself
//
// Arguments: ignored, the folder to persist in, and the bindings of all Workers as JSON. With FAULT_URL among them, what
// the example sends goes there (faults.js) instead of to the queue.

import { fileURLToPath } from "node:url";
import { convertV4MiniflareOptions, Miniflare, modules, read, serve } from "./serve.mjs";

const [, persist, json] = process.argv.slice(2);
const bindings = JSON.parse(json);
/** The queues of each Worker with deltas, by binding. */
const queueProducers = { DELTAS: "tributary-deltas" };
for (let number = 1; number < Number(bindings.QUEUE_SHARDS); number += 1) {
  queueProducers[`DELTAS_${number}`] = `tributary-deltas-${number}`;
}
const deltas = { maxBatchSize: 100, maxBatchTimeout: 0.2, maxRetries: 20 };
const repository = fileURLToPath(new URL("../..", import.meta.url));

function worker(name, folder, faults, options) {
  const build = `${repository}${folder}/build`;
  return {
    name,
    modulesRoot: build,
    modules: modules(build, faults),
    compatibilityDate: "2026-10-01",
    bindings,
    ...options,
  };
}

const miniflare = new Miniflare({
  ...convertV4MiniflareOptions({
    host: "127.0.0.1",
    workers: [
      worker("consumer", "consumer", [], {
        durableObjects: { LEDGER: { className: "Ledger", useSQLite: true } },
        queueProducers: { DEAD: "tributary-deltas-dead", DELTAS: "tributary-deltas" },
        queueConsumers: {
          ...Object.fromEntries(Object.values(queueProducers).map((queue) => [queue, deltas])),
          "tributary-deltas-dead": { maxBatchSize: 20, maxBatchTimeout: 0.1, maxRetries: 100 },
        },
        kvNamespaces: { CONFIDENCE_METRICS_KV: "metrics", CONFIDENCE_STATE_KV: "state" },
      }),
      worker("producer", "producer", [], {
        queueProducers,
        kvNamespaces: { CONFIDENCE_STATE_KV: "state" },
      }),
      worker("example", "emitter/example", "FAULT_URL" in bindings ? ["producer_faults.js", "faults.js"] : ["refusal.js"], {
        queueProducers,
      }),
      worker("cafe", "emitter/otel/example", ["refusal.js"], { queueProducers }),
      worker("kiosk", "emitter/npm/example", ["refusal.js"], { queueProducers }),
    ],
  }),
  resourcePersistencePath: persist,
});
const consumer = await miniflare.getWorker("consumer");
const producer = await miniflare.getWorker("producer");
const example = await miniflare.getWorker("example");
const others = {
  shop: example,
  cafe: await miniflare.getWorker("cafe"),
  kiosk: await miniflare.getWorker("kiosk"),
};
const queue = await miniflare.getQueueProducer("DELTAS", "consumer");

serve(miniflare, "consumer", async (url, request) => {
  const { method, headers } = request;
  if (url.pathname === "/send") {
    const messages = JSON.parse(await read(request));
    const body = (message) => ({ body: new Uint8Array(Buffer.from(message, "base64")), contentType: "bytes" });
    // One by one: 256 kB are the most of one call.
    for (const message of messages) await queue.sendBatch([body(message)]);
    return new Response();
  }
  const [, name, ...rest] = url.pathname.split("/");
  if (name in others) {
    url.pathname = `/${rest.join("/")}`;
    return others[name].fetch(url.href, { method, headers });
  }
  const target = url.pathname === "/orders" ? example : url.pathname.startsWith("/v1/") ? producer : consumer;
  const body = method === "GET" ? undefined : await read(request);
  return target.fetch(url.href, { method, headers, body });
});
