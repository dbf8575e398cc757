// Both Workers in one Miniflare (real workerd) with the queue, the KV namespaces and the Durable Object between them, and a
// cron trigger that fires when the test says so. The producer answers, as in an installation.
//
//   POST /scheduled        fires the consumer's cron trigger; answers with what the runtime says of it
//   anything else          goes to the producer, but for what serve.mjs keeps for itself
//
// Arguments: the folder of both builds, the folder to persist in, and the bindings of both Workers as JSON. With `isSticky`
// the producer has a store for sticky assignments, and with FAULT_URL among its bindings that store fails to order.

import { convertV4MiniflareOptions, Miniflare, modules, read, serve } from "./serve.mjs";

const [repository, persist, json] = process.argv.slice(2);
const bindings = JSON.parse(json);
const compatibilityDate = "2026-10-01";
const build = (worker, faults) => ({
  modulesRoot: `${repository}/${worker}/build`,
  modules: modules(`${repository}/${worker}/build`, faults),
});
const faults = "FAULT_URL" in bindings.producer ? ["sticky_faults.js", "faults.js"] : [];
const sticky = bindings.isSticky ? { CONFIDENCE_MATERIALIZATIONS_KV: "materializations" } : {};

const miniflare = new Miniflare({
  ...convertV4MiniflareOptions({
    host: "127.0.0.1",
    workers: [
      {
        name: "producer",
        ...build("producer", faults),
        compatibilityDate,
        queueProducers: { DELTAS: "tributary-deltas" },
        kvNamespaces: { CONFIDENCE_STATE_KV: "state", ...sticky },
        serviceBindings: { METRICS: "consumer" },
        bindings: bindings.producer,
      },
      {
        name: "consumer",
        ...build("consumer", []),
        compatibilityDate,
        durableObjects: { LEDGER: { className: "Ledger", useSQLite: true } },
        queueProducers: { DEAD: "tributary-deltas-dead", DELTAS: "tributary-deltas" },
        queueConsumers: {
          "tributary-deltas": { maxBatchSize: 100, maxBatchTimeout: 0.1, maxRetries: 20 },
          "tributary-deltas-dead": { maxBatchSize: 20, maxBatchTimeout: 0.1, maxRetries: 100 },
        },
        kvNamespaces: { CONFIDENCE_METRICS_KV: "metrics", CONFIDENCE_STATE_KV: "state" },
        bindings: bindings.consumer,
      },
    ],
  }),
  resourcePersistencePath: persist,
});
const producer = await miniflare.getWorker("producer");
const consumer = await miniflare.getWorker("consumer");

serve(miniflare, "producer", async (url, request) => {
  if (url.pathname === "/scheduled") return Response.json(await consumer.scheduled({ cron: "* * * * *" }));
  const body = request.method === "GET" ? undefined : await read(request);
  return producer.fetch(url.href, { method: request.method, headers: request.headers, body });
});
