// Coalesces what the requests of an isolate record into numbered messages: a state machine without I/O and without a
// clock, the one of emitter/src/flusher.rs.
//
// - The first push of a window becomes the flusher: it takes a lease, waits for the flush interval, then seals and sends.
//   Others of the window only push. A flusher can be cut off at any wait, so its lease ends at a deadline, and the first
//   push after that takes over.
// - Sealing is one synchronous step: everything pending becomes messages with the next sequences. A sequence is used when
//   its bytes exist, so there are no holes.
// - While the outbox is full nothing more is sealed, and nothing is taken from what aggregates: there it goes on merging.

import { encodeEnvelope, Reason, type Dropped } from "./envelope.ts";
import { LEASE_GRACE_MS, MAX_FRAGMENT_BYTES, MAX_OUTBOX_MESSAGES } from "./limits.ts";
import { Outbox, type Attempt } from "./outbox.ts";

/** What the stream says about itself in every message. */
export interface Identity {
  /** 16 random bytes. */
  readonly streamId: Uint8Array;
  /** How many ledgers there are. It never changes while the stream lives: its records are remembered where it says. */
  readonly ledgers: number;
  /** Who sends, 1 to 128 bytes. */
  readonly name: string;
}

/** What something that aggregates gave. It is not given again. */
export interface Collected {
  /** Encoded ResourceMetrics, each for one message. */
  readonly resourceMetrics: readonly Uint8Array[];
  /** Recordings, or points, that no message can carry. */
  readonly invalid: number;
  /** Those past a bound of the isolate. */
  readonly limited: number;
}

/** What a push has to do next: wait and seal under this lease, seal at once, or nothing. */
export type Role = { readonly lease: number | undefined } | "follower";

/** What sealing did. */
export interface Sealed {
  /** Messages that were added to the outbox. */
  readonly messages: number;
  /** Nothing was sealed although something is pending, because the outbox is full. */
  readonly heldBack: boolean;
}

/** The deltas of one isolate, from the push to the confirmed message. */
export class Flusher {
  readonly outbox = new Outbox();
  readonly #identity: Identity;
  #lastSequence = 0;
  #points: Uint8Array[] = [];
  #dropped: Dropped[] = [];
  #windowStartMs: number | undefined;
  #lease: { id: number; deadlineMs: number } | undefined;
  #lastLease = 0;

  constructor(identity: Identity) {
    this.#identity = identity;
  }

  /** The number of the message that was sealed last; 0 before the first. */
  get lastSequence(): number {
    return this.#lastSequence;
  }

  /** Whether there is nothing to seal. */
  get isEmpty(): boolean {
    return this.#points.length === 0 && this.#dropped.length === 0;
  }

  /** Whether what aggregates is to be asked: everything that it gave before is sealed, and there is room for a message. */
  get wantsPoints(): boolean {
    return this.#points.length === 0 && this.outbox.size < MAX_OUTBOX_MESSAGES;
  }

  /** Takes in what was collected. It stays until it is sealed. */
  addPoints({ resourceMetrics, invalid, limited }: Collected): void {
    for (const points of resourceMetrics) {
      // Cut with another limit it would never fit, and must not be tried for ever.
      if (points.length > MAX_FRAGMENT_BYTES) invalid += 1;
      else if (points.length > 0) this.#points.push(points);
    }
    this.#drop(Reason.Invalid, invalid);
    this.#drop(Reason.Limit, limited);
  }

  /** Opens the window if it is not open, and says what the caller has to do. */
  push(nowMs: number, flushIntervalMs: number): Role {
    this.#windowStartMs = Math.min(this.#windowStartMs ?? nowMs, nowMs);
    if (flushIntervalMs === 0) return { lease: undefined };
    const deadlineMs = nowMs + flushIntervalMs + LEASE_GRACE_MS;
    const held = this.#lease;
    // A deadline beyond what a lease of now would have comes from a clock that was set back: not to be waited for.
    if (held !== undefined && nowMs <= held.deadlineMs && held.deadlineMs <= deadlineMs) return "follower";
    this.#lease = { id: ++this.#lastLease, deadlineMs };
    return { lease: this.#lease.id };
  }

  /** Seals everything pending and gives up `lease` if it is still held. Needs `outbox.take` after it, without a wait. */
  seal(nowMs: number, lease: number | undefined): Sealed {
    if (this.#lease?.id === lease) this.#lease = undefined;
    if (this.isEmpty) {
      this.#windowStartMs = undefined;
      return { messages: 0, heldBack: false };
    }
    const startMs = Math.min(this.#windowStartMs ?? nowMs, nowMs);
    let messages = 0;
    while (!this.isEmpty && this.outbox.size < MAX_OUTBOX_MESSAGES) {
      const sequence = this.#lastSequence + 1;
      const bytes = encodeEnvelope({
        ...this.#identity,
        sequence,
        windowStartMs: startMs,
        windowEndMs: nowMs,
        dropped: this.#dropped,
        resourceMetrics: this.#points[0] ?? new Uint8Array(),
      });
      this.#points.shift();
      this.#dropped = [];
      this.#lastSequence = sequence;
      this.outbox.add(sequence, bytes);
      messages += 1;
    }
    // What is left says itself when it began.
    this.#windowStartMs = this.isEmpty ? undefined : startMs;
    return { messages, heldBack: messages === 0 };
  }

  /** Takes every sealed message that nobody is sending. */
  take(nowMs: number): Attempt {
    return this.outbox.take(nowMs);
  }

  #drop(reason: number, recordings: number): void {
    if (recordings === 0) return;
    const before = this.#dropped.find((dropped) => dropped.reason === reason)?.recordings ?? 0;
    this.#dropped = this.#dropped.filter((dropped) => dropped.reason !== reason);
    this.#dropped.push({ reason, recordings: before + recordings });
  }
}
