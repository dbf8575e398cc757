// The queue message: tributary.v1.Envelope, as proto/tributary/v1/envelope.proto says.

import { MAX_ENVELOPE_BYTES } from "./limits.ts";
import { Writer } from "./protobuf.ts";

/** Why recordings were given up, by its number. */
export const Reason = { Invalid: 3, Limit: 4 } as const;

/** How many recordings found no place. */
export interface Dropped {
  readonly reason: number;
  readonly recordings: number;
}

/** One delta record of one stream. */
export interface Envelope {
  /** 16 random bytes, drawn once in an isolate. */
  readonly streamId: Uint8Array;
  /** How many ledgers the stream knew when it began, from 1: its id names one of them. */
  readonly ledgers: number;
  /** 1, 2, 3 … without holes. */
  readonly sequence: number;
  readonly windowStartMs: number;
  readonly windowEndMs: number;
  readonly name: string;
  readonly dropped: readonly Dropped[];
  /** Encoded ResourceMetrics; empty for none. */
  readonly resourceMetrics: Uint8Array;
}

const FORMAT = 1;
const FORMAT_METRICS = 2;
const FORMAT_OTLP = 4;
const FORMAT_LEDGERS = 5;

/** Encodes a message. It is of the lowest format whose readers pass over nothing that is in it. */
export function encodeEnvelope(envelope: Envelope): Uint8Array<ArrayBuffer> {
  const writer = new Writer()
    .uint(1, lowestFormat(envelope))
    .bytes(2, envelope.streamId)
    .uint(3, envelope.sequence)
    .uint(4, envelope.windowStartMs)
    .uint(5, envelope.windowEndMs)
    .message(6, new Writer().string(1, envelope.name).finish());
  for (const { reason, recordings } of envelope.dropped) {
    writer.message(8, new Writer().uint(1, reason).uint(3, recordings).finish());
  }
  const bytes = writer
    .bytes(9, envelope.resourceMetrics)
    .uint(12, envelope.ledgers === 1 ? 0 : envelope.ledgers)
    .finish();
  if (bytes.length > MAX_ENVELOPE_BYTES) throw new RangeError(`a message of ${bytes.length} bytes`);
  return bytes;
}

function lowestFormat({ ledgers, resourceMetrics, dropped }: Envelope): number {
  if (ledgers !== 1) return FORMAT_LEDGERS;
  if (resourceMetrics.length > 0) return FORMAT_OTLP;
  return dropped.some(({ recordings }) => recordings > 0) ? FORMAT_METRICS : FORMAT;
}
