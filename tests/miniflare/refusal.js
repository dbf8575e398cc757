// A Worker whose queues refuse for a while, before or after they took a message, in front of the unchanged build.
//
//   POST /refuse?mode=before|after|none   says what they do from now on, or with &queue=BINDING what that one does, and
//                                         answers how often they refused so far
//   GET /sends                            messages that the real queues took, by binding

import Worker from "./index.js";

const modes = {};
const sends = {};
let refused = 0;

// The name is what the `worker` crate asks a queue binding for.
class WorkerQueue {
  constructor(real, binding) {
    this.real = real;
    this.binding = binding;
  }
  send(...args) {
    return this.strike(1, () => this.real.send(...args));
  }
  sendBatch(messages, ...args) {
    return this.strike([...messages].length, () => this.real.sendBatch(messages, ...args));
  }
  async strike(messages, send) {
    const mode = modes[this.binding] ?? "none";
    if (mode !== "before") {
      await send();
      sends[this.binding] = (sends[this.binding] ?? 0) + messages;
    }
    if (mode === "none") return {};
    refused += 1;
    throw new Error("Queue send failed: Unknown Internal Error (15000)");
  }
}

const queues = (env) => Object.keys(env).filter((name) => /^DELTAS(_\d+)?$/.test(name));

function refusing(env) {
  return { ...env, ...Object.fromEntries(queues(env).map((name) => [name, new WorkerQueue(env[name], name)])) };
}

function told(request, env) {
  const { pathname, searchParams } = new URL(request.url);
  if (pathname === "/sends") return Response.json(sends);
  if (pathname !== "/refuse") return undefined;
  for (const name of searchParams.has("queue") ? [searchParams.get("queue")] : queues(env)) {
    modes[name] = searchParams.get("mode");
  }
  return new Response(String(refused));
}

// A build of worker-build is a class, a module of one's own is an object.
export default typeof Worker === "function"
  ? class extends Worker {
      constructor(context, env) {
        super(context, refusing(env));
        this.real = env;
      }
      fetch(request) {
        return told(request, this.real) ?? super.fetch(request);
      }
    }
  : { fetch: (request, env, context) => told(request, env) ?? Worker.fetch(request, refusing(env), context) };
