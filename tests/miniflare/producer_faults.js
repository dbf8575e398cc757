// The producer with a queue that is the test's. Runs in workerd, in front of the unchanged build.

import Producer from "./index.js";
import { WorkerQueue } from "./faults.js";

export default class extends Producer {
  constructor(context, env) {
    super(context, { ...env, DELTAS: new WorkerQueue(env.FAULT_URL, "deltas") });
  }
  fetch(request) {
    // As a request that another Worker made up: nothing says where it came in.
    return super.fetch(request.headers.has("x-made-up") ? new Request(request, { cf: {} }) : request);
  }
}
