// Every bound of the stream: those of emitter/src/limits.rs, where each is derived. A test compares the two.

/** Time for which deltas coalesce where nothing else is configured, in milliseconds. */
export const DEFAULT_FLUSH_INTERVAL_MS = 1_000;

/** Longest wait of a flusher: `waitUntil` ends 30 s after the response, and sending needs the rest. */
export const MAX_FLUSH_INTERVAL_MS = 20_000;

/** Time beyond the flush interval after which a flusher's lease may be taken over. */
export const LEASE_GRACE_MS = 5_000;

/** Time that one attempt to send may take. */
export const SEND_TIMEOUT_MS = 2_500;

/** Waits between the attempts of one flush; one more attempt than waits. */
export const SEND_BACKOFF_MS: readonly number[] = [100, 400];

/** The most queues that a batch is offered to between two waits. */
export const MAX_QUEUES_A_ROUND = 3;

/** For how long a queue that failed is tried last, in milliseconds. */
export const AVOID_MS = 30_000;

/** Time after which messages taken by a flusher count as abandoned. */
export const IN_FLIGHT_MS = 9_000;

/** The most messages of one `sendBatch`. */
export const MAX_BATCH_MESSAGES = 100;

/** The most bytes of one `sendBatch`. */
export const MAX_BATCH_BYTES = 240_000;

/** The most sealed messages that wait to be confirmed. While there are as many, nothing more is sealed. */
export const MAX_OUTBOX_MESSAGES = 64;

/** The most queues that carry deltas, and so the most ledgers that count them. */
export const MAX_LEDGERS = 16;

/** The most bytes of an envelope. */
export const MAX_ENVELOPE_BYTES = 120_000;

/** Room that an envelope needs beside its metrics. */
export const ENVELOPE_OVERHEAD_BYTES = 512;

/** The most bytes of the metrics of one envelope. */
export const MAX_FRAGMENT_BYTES = MAX_ENVELOPE_BYTES - ENVELOPE_OVERHEAD_BYTES;

/** The most points of one message. */
export const MAX_MESSAGE_SERIES = 500;

/** The most histogram buckets of one message. */
export const MAX_MESSAGE_BUCKETS = 4_096;

/** About the most bytes of its points where they are written as series, with the labels that a scope says once. */
export const MAX_MESSAGE_CUSTOM_BYTES = 160_000;

/** The most bytes of a Worker's name. */
export const MAX_NAME_BYTES = 128;

/** The most families that an isolate records without an SDK. */
export const MAX_FAMILIES = 256;

/** The most series of one of them. What has no place is recorded in the family's overflow series. */
export const MAX_FAMILY_SERIES = 1_000;

/** The most series of all of them; overflow series are not counted. */
export const MAX_SERIES = 4_000;

/** The most bounds of a histogram. */
export const MAX_BOUNDS = 512;
