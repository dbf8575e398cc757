// Sending what a flusher took: a few tries, each of bounded time, then it is left to the next flush. Where there are several
// queues, what one does not take is offered to the next.

import {
  IN_FLIGHT_MS,
  MAX_BATCH_BYTES,
  MAX_BATCH_MESSAGES,
  MAX_QUEUES_A_ROUND,
  SEND_BACKOFF_MS,
  SEND_TIMEOUT_MS,
} from "./limits.ts";
import { batches, type Attempt, type Outgoing } from "./outbox.ts";
import type { Queues } from "./queues.ts";

/** The queues and the time, as a flusher sees them. */
export interface Port {
  /** Sends messages to the queue with this number in one call, all or none. What it throws may have been taken all the same. */
  send(queue: number, batch: readonly Outgoing[]): Promise<void>;
  /** Waits; `cancel` ends that without an end. */
  wait(milliseconds: number): { readonly done: Promise<void>; cancel(): void };
  nowMs(): number;
}

/** Messages that were not sent, and what the last failure was. They are to be released. */
export interface Unsent {
  readonly sequences: number[];
  readonly failure: unknown;
}

/** What happens on the way. */
export interface Report {
  /** A queue has these. */
  confirm(sequences: readonly number[]): void;
  /** A queue failed, and is tried last from now on. */
  avoided(queue: number, failure: unknown): void;
}

/** Sends what was taken. */
export async function send(port: Port, queues: Queues, attempt: Attempt, report: Report): Promise<Unsent | undefined> {
  const giveUpMs = port.nowMs() + IN_FLIGHT_MS;
  let left: readonly Outgoing[] = attempt.messages;
  let failure: unknown;
  for (let round = 0; left.length > 0; round += 1) {
    const failed: Outgoing[] = [];
    for (const batch of batches(left, MAX_BATCH_MESSAGES, MAX_BATCH_BYTES)) {
      let isTaken = false;
      for (const queue of queues.order(port.nowMs()).slice(0, MAX_QUEUES_A_ROUND)) {
        // A batch begun now must end before another flusher may take its messages.
        if (port.nowMs() + SEND_TIMEOUT_MS >= giveUpMs) {
          failure ??= new Error("out of time");
          break;
        }
        try {
          await inTime(port, port.send(queue, batch));
          isTaken = true;
        } catch (error) {
          if (queues.failed(queue, port.nowMs())) report.avoided(queue, error);
          failure = error;
        }
        if (!isTaken) continue;
        queues.took(queue);
        report.confirm(batch.map(({ sequence }) => sequence));
        break;
      }
      if (!isTaken) failed.push(...batch);
    }
    left = failed;
    const waitMs = SEND_BACKOFF_MS[round];
    if (left.length === 0 || waitMs === undefined) break;
    await port.wait(waitMs).done;
  }
  return left.length === 0 ? undefined : { sequences: left.map(({ sequence }) => sequence), failure };
}

async function inTime(port: Port, sending: Promise<void>): Promise<void> {
  // Whether it fails later is nobody's affair.
  sending.catch(() => {});
  const timer = port.wait(SEND_TIMEOUT_MS);
  const timeout = timer.done.then(() => {
    throw new Error(`no answer within ${SEND_TIMEOUT_MS} ms`);
  });
  try {
    await Promise.race([sending, timeout]);
  } finally {
    timer.cancel();
  }
}
