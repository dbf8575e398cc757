// The consumer's modules with faults in them that a real platform has on a bad day. Runs in workerd, in front of the
// unchanged build: only what the runtime hands to the Worker, and what it hands back, is touched.
//
//   FAULT_KV      share of KV puts that fail; half of these fail after they took effect
//   FAULT_THROW   share of batches whose handler throws after all is done, its verdicts included

import Consumer, { Ledger as RealLedger } from "./index.js";

const happens = (share) => Math.random() < Number(share ?? 0);

class FaultyKv {
  constructor(real, share) {
    this.real = real;
    this.share = share;
  }
  async put(...args) {
    if (!happens(this.share)) return this.real.put(...args);
    if (happens(0.5)) await this.real.put(...args);
    throw new Error("KV PUT failed: 503 Service Unavailable");
  }
  get(...args) {
    return this.real.get(...args);
  }
  getWithMetadata(...args) {
    return this.real.getWithMetadata(...args);
  }
  list(...args) {
    return this.real.list(...args);
  }
  delete(...args) {
    return this.real.delete(...args);
  }
}

export class Ledger extends RealLedger {
  constructor(state, env) {
    super(state, { ...env, CONFIDENCE_METRICS_KV: new FaultyKv(env.CONFIDENCE_METRICS_KV, env.FAULT_KV) });
  }
}

export default class extends Consumer {
  async queue(batch) {
    const result = await super.queue(batch);
    if (happens(this.env.FAULT_THROW)) throw new Error("thrown after the commit and the verdicts");
    return result;
  }
}
