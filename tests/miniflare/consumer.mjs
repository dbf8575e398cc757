// The consumer Worker in Miniflare (real workerd), reachable over HTTP on loopback, so that a test can hand it queue
// messages with ids, attempts and bodies of its choice and see what it does with each.
//
//   POST /queue            JSON [{id, attempts, timestampMs, base64 | text | object}]; answers with the queue's result
//   POST /dead-queue       the same for the dead-letter queue
//   PUT  /kv/BINDING/KEY   writes a value, and the header x-metadata as its metadata
//   GET  /kv/BINDING/KEY   reads them back
//   anything else          goes to the Worker
//
// Arguments: the folder of the build, the folder to persist in, and the bindings as JSON. Prints LISTENING=<port>.

import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { createRequire } from "node:module";

const [build, persist, bindings] = process.argv.slice(2);
// Miniflare comes with wrangler, whose packages are not below this file.
const require = createRequire(new URL("../../wrangler/node_modules/wrangler/package.json", import.meta.url));
const { Miniflare, convertV4MiniflareOptions } = require("miniflare");

// With faults asked for, their module stands in front of the build's.
const contents = readFileSync(new URL("faults.js", import.meta.url), "utf8");
const faults = bindings.includes("FAULT_") ? [{ type: "ESModule", path: `${build}/faults.js`, contents }] : [];

const miniflare = new Miniflare({
  ...convertV4MiniflareOptions({
    host: "127.0.0.1",
    workers: [
      {
        name: "consumer",
        modulesRoot: build,
        modules: [
          ...faults,
          { type: "ESModule", path: `${build}/index.js` },
          { type: "CompiledWasm", path: `${build}/index_bg.wasm` },
        ],
        compatibilityDate: "2026-10-01",
        durableObjects: { LEDGER: { className: "Ledger", useSQLite: true } },
        queueProducers: { DEAD: "tributary-deltas-dead", DELTAS: "tributary-deltas" },
        // What the consumer gives up comes back to it, as in wrangler/consumer.toml, and so does what is redriven.
        queueConsumers: {
          "tributary-deltas": { maxBatchSize: 100, maxBatchTimeout: 0.1, maxRetries: 20 },
          "tributary-deltas-dead": { maxBatchSize: 20, maxBatchTimeout: 0.1, maxRetries: 100 },
        },
        kvNamespaces: { CONFIDENCE_METRICS_KV: "metrics", CONFIDENCE_STATE_KV: "state" },
        bindings: JSON.parse(bindings),
      },
    ],
  }),
  resourcePersistencePath: persist,
});
const consumer = await miniflare.getWorker("consumer");

async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

function message({ id, attempts, timestampMs, base64, text, object }) {
  const content = base64 !== undefined ? new Uint8Array(Buffer.from(base64, "base64")) : (text ?? object);
  return { id, attempts, timestamp: new Date(timestampMs), body: content };
}

async function answer(request) {
  const url = new URL(request.url, "http://consumer");
  if (url.pathname === "/queue" || url.pathname === "/dead-queue") {
    const messages = JSON.parse(await body(request)).map(message);
    const queue = url.pathname === "/queue" ? "tributary-deltas" : "tributary-deltas-dead";
    return Response.json(await consumer.queue(queue, messages));
  }
  if (url.pathname.startsWith("/kv/")) {
    const [, , binding, key] = url.pathname.split("/");
    const store = await miniflare.getKVNamespace(binding, "consumer");
    if (request.method === "GET") {
      const { value, metadata } = await store.getWithMetadata(key, "arrayBuffer");
      return new Response(value, { status: value === null ? 404 : 200, headers: { "x-metadata": metadata ?? "" } });
    }
    const metadata = request.headers["x-metadata"];
    await store.put(key, await body(request), metadata ? { metadata } : {});
    return new Response();
  }
  return consumer.fetch(url.href, { method: request.method, headers: request.headers });
}

const server = createServer(async (request, response) => {
  try {
    const result = await answer(request);
    response.writeHead(result.status, Object.fromEntries(result.headers));
    response.end(Buffer.from(await result.arrayBuffer()));
  } catch (error) {
    response.writeHead(599);
    response.end(String(error?.stack ?? error));
  }
});
server.listen(0, "127.0.0.1", () => console.log(`LISTENING=${server.address().port}`));

const stop = async () => {
  server.close();
  await miniflare.dispose();
  process.exit(0);
};
process.on("SIGTERM", stop);
// The test that started this is gone when its end of the pipe is.
process.stdin.resume().on("end", stop);
