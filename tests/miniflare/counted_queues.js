// The producer with queues that count what they take, and refuse when they are told to. Runs in workerd, in front of the
// unchanged build; what is not refused goes to the real queue.
//
//   GET /sends      messages taken, by binding
//   PUT /refuses    JSON: the bindings that refuse from now on

import Producer from "./index.js";

const sends = {};
let refuses = [];

// The name is what the `worker` crate asks a queue binding for.
class WorkerQueue {
  #real;
  #binding;
  constructor(real, binding) {
    this.#real = real;
    this.#binding = binding;
  }
  async #count(messages, send) {
    if (refuses.includes(this.#binding)) throw new Error("Queue send failed: Too Many Requests (10250)");
    const answer = await send();
    sends[this.#binding] = (sends[this.#binding] ?? 0) + messages;
    return answer;
  }
  send(body, options) {
    return this.#count(1, () => this.#real.send(body, options));
  }
  sendBatch(messages, options) {
    return this.#count([...messages].length, () => this.#real.sendBatch(messages, options));
  }
}

export default class extends Producer {
  constructor(context, env) {
    const queues = Object.keys(env).filter((name) => /^DELTAS(_\d+)?$/.test(name));
    const counted = Object.fromEntries(queues.map((name) => [name, new WorkerQueue(env[name], name)]));
    super(context, { ...env, ...counted });
  }
  async fetch(request) {
    const { pathname } = new URL(request.url);
    if (pathname === "/sends") return Response.json(sends);
    if (pathname === "/refuses") {
      refuses = await request.json();
      return new Response();
    }
    return super.fetch(request);
  }
}
