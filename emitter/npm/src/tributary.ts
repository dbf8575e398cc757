// The face of the package.

import { configure, queueBinding, type Config, type Environment } from "./environment.ts";
import { Flusher } from "./flusher.ts";
import { MAX_NAME_BYTES } from "./limits.ts";
import type { Outgoing } from "./outbox.ts";
import type { Attributes, Resource, ScopeMetrics } from "./otlp.ts";
import { pack } from "./pack.ts";
import { Queues } from "./queues.ts";
import { BOUNDS, Registry, type CounterOptions, type HistogramOptions, type InstrumentOptions, type Recorder } from "./registry.ts";
import { send, type Port } from "./send.ts";

/** What this package needs of a queue binding. */
export interface QueueBinding {
  send(body: unknown, options?: { contentType?: "bytes" }): Promise<unknown>;
  sendBatch(messages: Iterable<{ body: unknown; contentType?: "bytes" }>): Promise<unknown>;
}

/** What this package needs of a handler's context. */
export interface HandlerContext {
  waitUntil(promise: Promise<unknown>): void;
}

/** What a source gave. It is not given again. */
export interface Taken {
  /** Who says it: what the environment says about the Worker, and what the source knows beside it. */
  readonly resource: Resource;
  readonly scopes: readonly ScopeMetrics[];
  /** Points that are none. */
  readonly invalid: number;
}

/** Something that aggregates, such as OpenTelemetry's SDK. */
export interface Source {
  /**
   * Takes what was recorded since the last time, `undefined` where there is nothing any more. `resource` is what the
   * environment says about the Worker. All that is recorded elsewhere waits for it.
   */
  take(resource: Resource): Promise<Taken | undefined>;
}

/** A count that only grows. */
export interface Counter {
  add(value?: number, attributes?: Attributes): void;
}

/** A count that also falls. */
export interface UpDownCounter {
  add(value: number, attributes?: Attributes): void;
}

/** A reading that replaces the one before; of all isolates the latest counts. */
export interface Gauge {
  record(value: number, attributes?: Attributes): void;
}

/** A distribution. */
export interface Histogram {
  record(value: number, attributes?: Attributes): void;
}

/** What a Worker may choose. */
export interface Options {
  /**
   * The queue binding; default `DELTAS`. With several queues (`QUEUE_SHARDS`) it is that of the first, and the others have its
   * name with `_1`, `_2` … behind it.
   */
  readonly binding?: string;
}

interface Isolate {
  readonly flusher: Flusher;
  readonly queues: Queues;
  readonly config: Config;
}

/**
 * The metrics of a Worker, made once at the top of its module. All requests of an isolate share one stream.
 *
 * The name, 1 to 128 bytes, is that of the Worker's account on `/metrics`, and its `service.name` where the environment
 * names none.
 */
export class Tributary {
  readonly name: string;
  readonly #binding: string;
  readonly #registry = new Registry();
  readonly #sources: Source[] = [];
  #isolate: Isolate | undefined;

  constructor(name: string, { binding = "DELTAS" }: Options = {}) {
    const bytes = new TextEncoder().encode(name).length;
    if (bytes === 0 || bytes > MAX_NAME_BYTES) throw new TypeError(`a name of 1 to ${MAX_NAME_BYTES} bytes`);
    this.name = name;
    this.#binding = binding;
  }

  /** A counter. Names of instruments are OpenTelemetry's; on `/metrics` this one is `<name>_total`. */
  counter(name: string, options: CounterOptions = {}): Counter {
    return adder(this.#registry.instrument("counter", name, options));
  }

  /** An up-down counter. */
  upDownCounter(name: string, options: CounterOptions = {}): UpDownCounter {
    return adder(this.#registry.instrument("upDownCounter", name, options));
  }

  /** A gauge. */
  gauge(name: string, options: InstrumentOptions = {}): Gauge {
    return recorder(this.#registry.instrument("gauge", name, options));
  }

  /** A histogram with bounds. */
  histogram(name: string, options: HistogramOptions = {}): Histogram {
    return recorder(this.#registry.instrument("histogram", name, options));
  }

  /** Sends what this aggregates, too. */
  addSource(source: Source): void {
    this.#sources.push(source);
  }

  /**
   * Sees to it that all that this isolate has recorded is sent, after the response and with what other requests record until
   * then. Call it in each handler, after recording; it does not wait, and it does not throw.
   */
  flush(environment: Environment, context: HandlerContext): void {
    const flushing = this.flushing(environment);
    if (flushing !== undefined) context.waitUntil(flushing);
  }

  /** The same for other kinds of context: what has to be kept alive until it ends, `undefined` if there is nothing to do. */
  flushing(environment: Environment): Promise<void> | undefined {
    const { flusher, config } = this.#begin(environment);
    const hasWork = this.#registry.hasRecorded || this.#sources.length > 0 || !flusher.isEmpty || flusher.outbox.size > 0;
    if (!hasWork) return undefined;
    const role = flusher.push(Date.now(), config.flushIntervalMs);
    return role === "follower" ? undefined : this.#flush(environment, role.lease);
  }

  /** Made at the first request: there is no randomness, no clock and no environment before. */
  #begin(environment: Environment): Isolate {
    if (this.#isolate === undefined) {
      const streamId = crypto.getRandomValues(new Uint8Array(16));
      const config = configure(environment, this.name);
      for (const problem of config.problems) console.error(`tributary: ${problem}`);
      const ledgers = config.queueShards;
      const flusher = new Flusher({ streamId, ledgers, name: this.name });
      this.#isolate = { flusher, queues: new Queues(streamId, ledgers), config };
    }
    return this.#isolate;
  }

  async #flush(environment: Environment, lease: number | undefined): Promise<void> {
    const { flusher, queues, config } = this.#begin(environment);
    try {
      if (lease !== undefined) await wait(config.flushIntervalMs).done;
      if (flusher.wantsPoints) await this.#collect(flusher, { attributes: config.attributes });
      const nowMs = Date.now();
      if (flusher.seal(nowMs, lease).heldBack) {
        console.warn("tributary: too many messages wait for the queue; metrics go on merging");
      }
      const attempt = flusher.take(nowMs);
      const port: Port = { ...clock, send: (queue, batch) => sendBatch(this.#queue(environment, queue), batch) };
      const unsent = await send(port, queues, attempt, {
        confirm: (sequences) => flusher.outbox.confirm(sequences),
        avoided: (queue, failure) => {
          if (config.queueShards === 1) return;
          console.warn(`tributary: the queue ${queueBinding(this.#binding, queue)} fails: ${said(failure)}`);
        },
      });
      if (unsent === undefined) return;
      flusher.outbox.release(attempt.id, unsent.sequences);
      console.error(`tributary: ${unsent.sequences.length} messages wait for the next request: ${said(unsent.failure)}`);
    } catch (error) {
      // Never a request's affair. What is not sent waits for the next flush.
      console.error("tributary: a flush failed", error);
    }
  }

  async #collect(flusher: Flusher, resource: Resource): Promise<void> {
    let [dropped, isDrained] = [0, false];
    // What is taken is the flusher's before anybody waits again: a flush that is cut off loses nothing.
    const add = ({ resource: own, scopes, invalid }: Taken): void => {
      // What is recorded without an SDK goes with the first that speaks of the same service: one message where it fits, and
      // one `target_info`.
      const isOurs = !isDrained && service(own) === service(resource);
      const recorded = isOurs ? this.#registry.drain(Date.now()) : { metrics: [], invalid: 0, limited: 0 };
      isDrained ||= isOurs;
      const all = [{ scope: { name: this.name }, metrics: recorded.metrics }, ...scopes];
      const { messages, tooLarge } = pack(BOUNDS, own, all);
      const [none, limited] = [invalid + recorded.invalid + tooLarge, recorded.limited];
      dropped += none + limited;
      flusher.addPoints({ resourceMetrics: messages, invalid: none, limited });
    };
    for (const source of this.#sources) {
      const taken = await source.take(resource);
      if (taken !== undefined) add(taken);
    }
    if (!isDrained) add({ resource, scopes: [], invalid: 0 });
    if (dropped > 0) {
      console.warn(`tributary: ${dropped} recordings dropped: values that no series can have, or too many families`);
    }
  }

  #queue(environment: Environment, number: number): QueueBinding {
    const binding = queueBinding(this.#binding, number);
    const queue: unknown = Reflect.get(environment, binding);
    if (typeof queue !== "object" || queue === null) throw new Error(`there is no queue binding ${binding}`);
    return queue as QueueBinding;
  }
}

/** What `job` is made of. */
function service({ attributes }: Resource): string {
  return JSON.stringify([attributes["service.namespace"] ?? "", attributes["service.name"] ?? ""].map(String));
}

function adder(to: Recorder): Counter & UpDownCounter {
  return { add: (value = 1, attributes = {}) => to.record(value, attributes) };
}

function recorder(to: Recorder): Gauge & Histogram {
  return { record: (value, attributes = {}) => to.record(value, attributes) };
}

/** What a failure says, bounded: it may be anybody's text. */
function said(failure: unknown): string {
  return failure instanceof Error ? failure.message.slice(0, 300) : "something that is no Error was thrown";
}

async function sendBatch(queue: QueueBinding, batch: readonly Outgoing[]): Promise<void> {
  // The queue detaches the buffer that it is given, so each is a copy.
  const [first, ...more] = batch;
  if (first !== undefined && more.length === 0) {
    await queue.send(first.bytes.slice(), { contentType: "bytes" });
  } else {
    await queue.sendBatch(batch.map(({ bytes }) => ({ body: bytes.slice(), contentType: "bytes" })));
  }
}

function wait(milliseconds: number): { done: Promise<void>; cancel(): void } {
  let timer: ReturnType<typeof setTimeout> | undefined;
  const done = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, milliseconds);
  });
  return { done, cancel: () => clearTimeout(timer) };
}

const clock: Omit<Port, "send"> = { wait, nowMs: () => Date.now() };
