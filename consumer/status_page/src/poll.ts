// Reads /metrics every few seconds, only while somebody looks.

/** Seconds between two reads. */
export const INTERVAL_SECONDS = 5;
const LONGEST_PAUSE_SECONDS = 60;
const PATIENCE_MS = 10_000;

/** Why a read gave nothing. */
export class ReadFailure extends Error {
  readonly isSignedOut: boolean;
  constructor(message: string, isSignedOut = false) {
    super(message);
    this.isSignedOut = isSignedOut;
  }
}

/** Seconds until the next read after `failures` in a row: twice as long each time, a minute at most. */
export function pauseAfter(failures: number): number {
  return Math.min(INTERVAL_SECONDS * 2 ** Math.min(failures, 10), LONGEST_PAUSE_SECONDS);
}

/**
 * A GET of one of our own paths.
 *
 * @throws {ReadFailure}
 */
export async function get(path: string, accept: string): Promise<Response> {
  let response: Response;
  try {
    const signal = AbortSignal.timeout(PATIENCE_MS);
    response = await fetch(path, { headers: { Accept: accept }, cache: "no-store", redirect: "error", signal });
  } catch (error) {
    const isLate = error instanceof DOMException && error.name === "TimeoutError";
    throw new ReadFailure(isLate ? `no answer within ${PATIENCE_MS / 1000} s` : "no connection");
  }
  if (response.ok) return response;
  throw new ReadFailure(await reason(response), response.status === 401);
}

/** What an error answer says of itself, in the shape that both Workers give their errors. */
async function reason(response: Response): Promise<string> {
  try {
    const { error } = (await response.json()) as { error?: { message?: unknown } };
    if (typeof error?.message === "string") return `${response.status}: ${error.message}`;
  } catch {
    // Somebody in between answered; the status says enough.
  }
  return `status ${response.status}`;
}

/** Calls `step` now and then; `step` says whether it worked. It rests while the page is hidden or `isPaused`. */
export function poll(step: () => Promise<boolean>): { pause(isPaused: boolean): void; stop(): void } {
  let failures = 0;
  let timer: number | undefined;
  let [isRunning, isPaused, isStopped] = [false, false, false];
  const rests = () => isStopped || isPaused || document.hidden;
  const tick = async () => {
    window.clearTimeout(timer);
    if (isRunning || rests()) return;
    isRunning = true;
    failures = (await step()) ? 0 : failures + 1;
    isRunning = false;
    if (!rests()) timer = window.setTimeout(tick, pauseAfter(failures) * 1000);
  };
  document.addEventListener("visibilitychange", () => void tick());
  void tick();
  return {
    pause(paused) {
      isPaused = paused;
      void tick();
    },
    stop() {
      isStopped = true;
      window.clearTimeout(timer);
    },
  };
}
