// Stands where Cloudflare's edge stands: it finds the Worker of a host, and hands over what the queues and the clock have
// for a Worker. edge/runner.rs gives it
//
//   KEY     what a request of the fake itself carries in x-fake-edge
//   HOSTS   JSON: host → binding of a Worker that workers.dev serves
//   WORKERS JSON: account/script → binding of a Worker
//
//   POST /queue/<account>/<script>   JSON {queue, messages: [{id, timestamp, attempts, contentType, base64}], metrics}
//   POST /cron/<account>/<script>    JSON {cron, scheduledTime}
//   POST /quiet                      JSON: milliseconds since a Worker last answered

const CF = { colo: "ARN", country: "SE", city: "Stockholm", continent: "EU", httpProtocol: "HTTP/1.1", asn: 64496 };

// What a Worker still does behind its answer is not seen from here; when it answered is.
let answered = 0;

function bytes(base64) {
  return Uint8Array.from(atob(base64), (character) => character.charCodeAt(0));
}

function message({ id, timestamp, attempts, contentType, base64 }) {
  const common = { id, timestamp: new Date(timestamp), attempts };
  const content = bytes(base64);
  const text = () => new TextDecoder().decode(content);
  switch (contentType) {
    case "text": return { ...common, body: text() };
    case "json": return { ...common, body: JSON.parse(text()) };
    case "bytes": return { ...common, body: content };
    default: return { ...common, serializedBody: content };
  }
}

async function command(request, env, path) {
  const [, what, account, script] = path.split("/");
  if (what === "quiet") return Response.json(Date.now() - answered);
  const worker = env[env.WORKERS[`${account}/${script}`]];
  if (worker === undefined) return new Response("no such Worker", { status: 404 });
  const body = await request.json();
  if (what === "queue") {
    const metrics = { ...body.metrics, oldestMessageTimestamp: new Date(body.metrics.oldestMessageTimestamp) };
    return Response.json(await worker.queue(body.queue, body.messages.map(message), { metrics }));
  }
  return Response.json(await worker.scheduled({ cron: body.cron, scheduledTime: new Date(body.scheduledTime) }));
}

export default {
  async fetch(request, env) {
    const url = new URL(request.url);
    if (request.headers.get("x-fake-edge") === env.KEY) return command(request, env, url.pathname);
    const host = (request.headers.get("host") ?? "").toLowerCase();
    const name = host.replace(/:\d+$/, "");
    const worker = env[env.HOSTS[name]];
    if (worker === undefined) {
      return new Response(`error code: 1042\nno Worker is served at ${name}\n`, { status: 404 });
    }
    // Outside it is HTTPS on the standard port.
    url.protocol = "https:";
    url.host = name;
    url.port = "";
    const headers = new Headers(request.headers);
    headers.set("host", name);
    headers.set("cf-connecting-ip", "192.0.2.1");
    headers.set("cf-ipcountry", CF.country);
    headers.set("cf-ray", "0000000000000000-ARN");
    headers.set("x-forwarded-proto", "https");
    try {
      return await worker.fetch(new Request(url, new Request(request, { headers })), { cf: CF });
    } catch (error) {
      console.error(String(error?.stack ?? error));
      return new Response("error code: 1101\n", { status: 500 });
    } finally {
      answered = Date.now();
    }
  },
};
