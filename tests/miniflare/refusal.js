// A Worker whose queue refuses for a while, before or after it took a message, in front of the unchanged build.
//
//   POST /refuse?mode=before|after|none   says what the queue does from now on, and answers how often it refused so far

import Worker from "./index.js";

let mode = "none";
let refused = 0;

// The name is what the `worker` crate asks a queue binding for.
class WorkerQueue {
  constructor(real) {
    this.real = real;
  }
  send(...args) {
    return this.strike(() => this.real.send(...args));
  }
  sendBatch(...args) {
    return this.strike(() => this.real.sendBatch(...args));
  }
  async strike(send) {
    if (mode !== "before") await send();
    if (mode === "none") return {};
    refused += 1;
    throw new Error("Queue send failed: Unknown Internal Error (15000)");
  }
}

const refusing = (env) => ({ ...env, DELTAS: new WorkerQueue(env.DELTAS) });

function refuse(request) {
  const url = new URL(request.url);
  if (url.pathname !== "/refuse") return undefined;
  mode = url.searchParams.get("mode");
  return new Response(String(refused));
}

// A build of worker-build is a class, a module of one's own is an object.
export default typeof Worker === "function"
  ? class extends Worker {
      constructor(context, env) {
        super(context, refusing(env));
      }
      fetch(request) {
        return refuse(request) ?? super.fetch(request);
      }
    }
  : { fetch: (request, env, context) => refuse(request) ?? Worker.fetch(request, refusing(env), context) };
