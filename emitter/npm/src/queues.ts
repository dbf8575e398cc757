// Which of several queues a stream sends to (QUEUE_SHARDS): the decisions of emitter/src/queues.rs. The queues themselves are
// numbers.
//
// A stream has a home queue, by the same hash of its id that names its ledger: the batches of a queue then hold records of one
// ledger. A queue that refuses, or does not answer, is avoided for a while, so that not every flush waits for it first; then
// the stream comes home. Where a record goes decides nothing but the way: one that two queues took counts once.

import { AVOID_MS } from "./limits.ts";

/** The share of a stream among `count` ledgers, or queues: 0 to `count` - 1. An id of 16 random bytes is a hash as it is. */
export function share(streamId: Uint8Array, count: number): number {
  // A number has 53 bits, which are not enough for the remainder of 64.
  const head = new DataView(streamId.buffer, streamId.byteOffset, streamId.byteLength).getBigUint64(0);
  return Number(head % BigInt(count));
}

/** The queues of one stream. */
export class Queues {
  /** The stream's own queue. */
  readonly home: number;
  readonly #count: number;
  /** Queues that failed, and when that was. */
  readonly #failedMs = new Map<number, number>();

  /** The queues 0 to `count` - 1, of which there is at least one. */
  constructor(streamId: Uint8Array, count: number) {
    this.home = share(streamId, count);
    this.#count = count;
  }

  /**
   * All of them in the order in which they are to be tried: the home queue and those that follow it, but those that are avoided
   * come last, the one that failed longest ago first.
   */
  order(nowMs: number): number[] {
    const all = Array.from({ length: this.#count }, (_, step) => (this.home + step) % this.#count);
    const failedMs = (queue: number): number => this.#failedMs.get(queue) ?? 0;
    const avoided = all.filter((queue) => this.#isAvoided(queue, nowMs));
    avoided.sort((one, other) => failedMs(one) - failedMs(other));
    return [...all.filter((queue) => !avoided.includes(queue)), ...avoided];
  }

  /** A queue refused a send, or gave no answer. Returns whether that is news: it was not avoided. */
  failed(queue: number, nowMs: number): boolean {
    const isNews = !this.#isAvoided(queue, nowMs);
    this.#failedMs.set(queue, nowMs);
    return isNews;
  }

  /** A queue took a send. */
  took(queue: number): void {
    this.#failedMs.delete(queue);
  }

  /** Also after the clock was set back, nothing is avoided for longer. */
  #isAvoided(queue: number, nowMs: number): boolean {
    const failedMs = this.#failedMs.get(queue);
    return failedMs !== undefined && failedMs <= nowMs && nowMs - failedMs < AVOID_MS;
  }
}
