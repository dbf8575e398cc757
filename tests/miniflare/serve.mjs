// What the Workers in Miniflare share: an HTTP server on loopback in front of them, through which a test reaches what a
// browser cannot, and an end that comes with the test's.
//
//   PUT  /kv/BINDING/KEY   writes a value, and the header x-metadata as its metadata
//   GET  /kv/BINDING/KEY   reads them back
//   GET  /kv/BINDING       lists the keys, with when they expire
//   anything else          is the Worker's own affair: `answer`

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { existsSync, readFileSync } from "node:fs";

// Miniflare comes with wrangler, whose packages are not below this file.
const require = createRequire(new URL("../../wrangler/node_modules/wrangler/package.json", import.meta.url));
export const { Miniflare, convertV4MiniflareOptions } = require("miniflare");

/** The modules of a build, behind those of this folder that are named: the first of all is the one that runs. */
export function modules(build, faults) {
  const own = faults.map((name) => {
    const contents = readFileSync(new URL(name, import.meta.url), "utf8");
    return { type: "ESModule", path: `${build}/${name}`, contents };
  });
  const wasm = { type: "CompiledWasm", path: `${build}/index_bg.wasm` };
  return [...own, { type: "ESModule", path: `${build}/index.js` }, ...(existsSync(wasm.path) ? [wasm] : [])];
}

export async function read(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks);
}

/** Serves the Worker `name` of `miniflare` and prints LISTENING=<port>. */
export function serve(miniflare, name, answer) {
  async function respond(request) {
    const url = new URL(request.url, `http://${name}`);
    if (url.pathname.startsWith("/kv/")) {
      const [, , binding, ...parts] = url.pathname.split("/");
      const key = decodeURIComponent(parts.join("/"));
      const store = await miniflare.getKVNamespace(binding, name);
      if (key === "") return Response.json((await store.list()).keys);
      if (request.method === "GET") {
        const { value, metadata } = await store.getWithMetadata(key, "arrayBuffer");
        const word = typeof metadata === "object" && metadata !== null ? JSON.stringify(metadata) : (metadata ?? "");
        return new Response(value, { status: value === null ? 404 : 200, headers: { "x-metadata": word } });
      }
      const metadata = request.headers["x-metadata"];
      await store.put(key, await read(request), metadata ? { metadata } : {});
      return new Response();
    }
    return answer(url, request);
  }

  const server = createServer(async (request, response) => {
    try {
      const result = await respond(request);
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
}
