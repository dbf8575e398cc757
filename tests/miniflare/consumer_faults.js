// The consumer's modules with faults in them. Runs in workerd, in front of the unchanged build: only what the runtime
// hands to the Worker, and what it hands back, is touched.
//
//   kv        a KV put fails, before or after it took effect
//   ledger    a call of the Ledger fails, before or after it was done
//   handler   the handler throws when all is done, before or after its verdicts reached the queue
//   dead      what is sent to the dead-letter queue is the test's

import Consumer, { Ledger as RealLedger } from "./index.js";
import { fate, FaultyKv, WorkerQueue } from "./faults.js";

export class Ledger extends RealLedger {
  #url;
  constructor(state, env) {
    super(state, { ...env, CONFIDENCE_METRICS_KV: new FaultyKv(env.CONFIDENCE_METRICS_KV, env.FAULT_URL, { put: "kv" }) });
    this.#url = env.FAULT_URL;
  }
  async fetch(request) {
    if (request.method !== "POST") return super.fetch(request);
    const strike = await fate(this.#url, "ledger");
    if (strike === "before") throw new Error("Network connection lost.");
    const answer = await super.fetch(request);
    if (strike === "after") throw new Error("Network connection lost.");
    return answer;
  }
}

/** The batch, with verdicts that reach nobody. */
function unheard(batch) {
  const messages = batch.messages.map(({ id, timestamp, attempts, body }) => {
    return { id, timestamp, attempts, body, ack() {}, retry() {} };
  });
  return { queue: batch.queue, messages, ackAll() {}, retryAll() {} };
}

export default class extends Consumer {
  constructor(context, env) {
    super(context, { ...env, DEAD: new WorkerQueue(env.FAULT_URL, "dead") });
  }
  async queue(batch) {
    const strike = await fate(this.env.FAULT_URL, "handler");
    const result = await super.queue(strike === "before" ? unheard(batch) : batch);
    if (strike !== "pass") throw new Error(`thrown when all was done, ${strike} the verdicts`);
    return result;
  }
}
