// Sealed messages that the queue has not confirmed yet. A message keeps its bytes and its sequence until it is confirmed.
// Whoever takes it for sending holds it until a deadline, not for ever: a flusher that was cut off leaves nothing behind
// that the next one does not send again. Sending one twice is harmless, the consumer applies a sequence once.

import { IN_FLIGHT_MS } from "./limits.ts";

/** A message on its way. */
export interface Outgoing {
  readonly sequence: number;
  readonly bytes: Uint8Array<ArrayBuffer>;
}

/** Messages to send, oldest first, and whose they are. */
export interface Attempt {
  readonly id: number;
  readonly messages: readonly Outgoing[];
}

interface Message extends Outgoing {
  inFlight: { attempt: number; deadlineMs: number } | undefined;
}

/** The sealed messages of one stream. */
export class Outbox {
  /** In the order of their sequences, which is that in which they came. */
  readonly #messages = new Map<number, Message>();
  #lastAttempt = 0;

  /** Messages in it. */
  get size(): number {
    return this.#messages.size;
  }

  /** Adds a sealed message. */
  add(sequence: number, bytes: Uint8Array<ArrayBuffer>): void {
    this.#messages.set(sequence, { sequence, bytes, inFlight: undefined });
  }

  /** Takes every message that nobody is sending. */
  take(nowMs: number): Attempt {
    const id = ++this.#lastAttempt;
    const messages = [...this.#messages.values()].filter(
      ({ inFlight }) => inFlight === undefined || nowMs >= inFlight.deadlineMs,
    );
    for (const message of messages) message.inFlight = { attempt: id, deadlineMs: nowMs + IN_FLIGHT_MS };
    return { id, messages };
  }

  /** Forgets messages that the queue accepted. */
  confirm(sequences: readonly number[]): void {
    for (const sequence of sequences) this.#messages.delete(sequence);
  }

  /** Gives up an attempt's hold on messages that it could not send. What another took meanwhile stays with that one. */
  release(id: number, sequences: readonly number[]): void {
    for (const sequence of sequences) {
      const message = this.#messages.get(sequence);
      if (message?.inFlight?.attempt === id) message.inFlight = undefined;
    }
  }
}

/** Groups messages into batches, in order, each within both bounds. One that is larger travels alone. */
export function batches(messages: readonly Outgoing[], mostMessages: number, mostBytes: number): Outgoing[][] {
  const batches: Outgoing[][] = [];
  let batch: Outgoing[] = [];
  let bytes = 0;
  for (const message of messages) {
    if (batch.length > 0 && (batch.length >= mostMessages || bytes + message.bytes.length > mostBytes)) {
      batches.push(batch);
      [batch, bytes] = [[], 0];
    }
    batch.push(message);
    bytes += message.bytes.length;
  }
  if (batch.length > 0) batches.push(batch);
  return batches;
}
