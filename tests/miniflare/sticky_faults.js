// The producer with a store of sticky assignments that fails to order. Runs in workerd, in front of the unchanged build.
//
//   sticky-get    a read fails or takes long
//   sticky-put    a write fails, before or after it took effect

import Producer from "./index.js";
import { FaultyKv } from "./faults.js";

export default class extends Producer {
  constructor(context, env) {
    const places = { put: "sticky-put", get: "sticky-get" };
    const kv = new FaultyKv(env.CONFIDENCE_MATERIALIZATIONS_KV, env.FAULT_URL, places);
    super(context, { ...env, CONFIDENCE_MATERIALIZATIONS_KV: kv });
  }
}
