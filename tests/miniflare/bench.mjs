// The consumer and a Worker that only says hello, each in a workerd of its own, reached directly and not through a
// server of Node: for measuring requests.
//
// Arguments: the folder of the consumer's build, the folder to persist in, and the consumer's bindings as JSON. Prints
// CONSUMER=<url> and HELLO=<url>; ends with the end of its standard input.

import { convertV4MiniflareOptions, Miniflare, modules } from "./serve.mjs";

const [build, persist, json] = process.argv.slice(2);
const compatibilityDate = "2026-10-01";
const start = (worker) =>
  new Miniflare({
    ...convertV4MiniflareOptions({ host: "127.0.0.1", port: 0, workers: [{ compatibilityDate, ...worker }] }),
    resourcePersistencePath: `${persist}/${worker.name}`,
  });
const consumer = start({
  name: "consumer",
  modulesRoot: build,
  modules: modules(build, []),
  durableObjects: { LEDGER: { className: "Ledger", useSQLite: true } },
  queueProducers: { DEAD: "tributary-deltas-dead", DELTAS: "tributary-deltas" },
  queueConsumers: { "tributary-deltas": { maxBatchSize: 100, maxBatchTimeout: 0.1 } },
  kvNamespaces: { CONFIDENCE_METRICS_KV: "metrics", CONFIDENCE_STATE_KV: "state" },
  bindings: JSON.parse(json),
});
const hello = start({
  name: "hello",
  modules: true,
  script: `export default { fetch: () => new Response("hello") }`,
});
console.log(`CONSUMER=${await consumer.ready}`);
console.log(`HELLO=${await hello.ready}`);
// The first delta brings the first publication.
const queue = await consumer.getQueueProducer("DELTAS", "consumer");
await queue.send('{"telemetryData":{"resolveRate":[{"count":1,"reason":"RESOLVE_REASON_MATCH"}]}}');

const stop = async () => {
  await Promise.all([consumer.dispose(), hello.dispose()]);
  process.exit(0);
};
process.on("SIGTERM", stop);
process.stdin.resume().on("end", stop);
