// An installation with several queues in one Miniflare (real workerd): the consumer, and some producers, each a Worker of
// its own and so an isolate with a stream of its own.
//
//   POST /producers/N/…    goes to the producer with this number; below it GET /sends and PUT /refuses are those of
//                          counted_queues.js
//   anything else          goes to the consumer, but for what serve.mjs keeps for itself
//
// Arguments: the folder of both builds, the folder to persist in, and as JSON: `producers`, how many there are; `queues`,
// how many they are bound to; `consumed`, how many the consumer consumes; the bindings `producer` and `consumer`.

import { convertV4MiniflareOptions, Miniflare, modules, read, serve } from "./serve.mjs";

const [repository, persist, json] = process.argv.slice(2);
const { producers, queues, consumed, producer, consumer } = JSON.parse(json);
const compatibilityDate = "2026-10-01";
const build = (worker, faults) => ({
  modulesRoot: `${repository}/${worker}/build`,
  modules: modules(`${repository}/${worker}/build`, faults),
});
const numbers = (count) => Array.from({ length: count }, (_, number) => number);
const queue = (number) => (number === 0 ? "tributary-deltas" : `tributary-deltas-${number}`);
const binding = (number) => (number === 0 ? "DELTAS" : `DELTAS_${number}`);
const settings = { maxBatchSize: 100, maxBatchTimeout: 0.1, maxRetries: 20, deadLetterQueue: "tributary-deltas-dead" };

const miniflare = new Miniflare({
  ...convertV4MiniflareOptions({
    host: "127.0.0.1",
    workers: [
      {
        name: "consumer",
        ...build("consumer", []),
        compatibilityDate,
        durableObjects: { LEDGER: { className: "Ledger", useSQLite: true } },
        queueProducers: { DEAD: "tributary-deltas-dead", DELTAS: "tributary-deltas" },
        queueConsumers: {
          ...Object.fromEntries(numbers(consumed).map((number) => [queue(number), settings])),
          "tributary-deltas-dead": { maxBatchSize: 20, maxBatchTimeout: 0.1, maxRetries: 100 },
        },
        kvNamespaces: { CONFIDENCE_METRICS_KV: "metrics", CONFIDENCE_STATE_KV: "state" },
        bindings: consumer,
      },
      ...numbers(producers).map((number) => ({
        name: `producer-${number}`,
        ...build("producer", ["counted_queues.js"]),
        compatibilityDate,
        queueProducers: Object.fromEntries(numbers(queues).map((number) => [binding(number), queue(number)])),
        kvNamespaces: { CONFIDENCE_STATE_KV: "state" },
        serviceBindings: { METRICS: "consumer" },
        bindings: producer,
      })),
    ],
  }),
  resourcePersistencePath: persist,
});
const main = await miniflare.getWorker("consumer");
const workers = await Promise.all(numbers(producers).map((number) => miniflare.getWorker(`producer-${number}`)));

serve(miniflare, "consumer", async (url, request) => {
  const { method, headers } = request;
  const body = method === "GET" ? undefined : await read(request);
  const [, place, number, ...path] = url.pathname.split("/");
  const target = place === "producers" ? workers[Number(number)] : main;
  const address = place === "producers" ? `${url.origin}/${path.join("/")}` : url.href;
  return target.fetch(address, { method, headers, body });
});
