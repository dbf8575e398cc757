// Where a stream sends, and what becomes of what a queue does not take: as in emitter/src/queues.rs and send.rs.

import assert from "node:assert/strict";
import { test } from "node:test";
import { AVOID_MS, IN_FLIGHT_MS, SEND_BACKOFF_MS, SEND_TIMEOUT_MS } from "../src/limits.ts";
import type { Outgoing } from "../src/outbox.ts";
import { Queues } from "../src/queues.ts";
import { send, type Port } from "../src/send.ts";

/** The queues of a stream that is at home in this one. */
function queuesOf(home: number, count: number): Queues {
  const queues = new Queues(new Uint8Array(16).fill(home, 7, 8), count);
  assert.equal(queues.home, home);
  return queues;
}

test("a stream sends home, then to the next, and comes home again", () => {
  const queues = queuesOf(2, 4);
  assert.deepEqual(queues.order(1_000), [2, 3, 0, 1]);
  assert.ok(queues.failed(2, 1_000));
  assert.deepEqual(queues.order(1_000), [3, 0, 1, 2]);
  assert.ok(queues.failed(3, 1_500));
  assert.deepEqual(queues.order(1_600), [0, 1, 2, 3]);
  assert.ok(!queues.failed(2, 2_000), "no news: it is avoided already");
  assert.deepEqual(queues.order(2_000), [0, 1, 3, 2]);
  queues.took(3);
  assert.deepEqual(queues.order(2_000), [3, 0, 1, 2]);
  assert.deepEqual(queues.order(1_999 + AVOID_MS), [3, 0, 1, 2]);
  assert.deepEqual(queues.order(2_000 + AVOID_MS), [2, 3, 0, 1], "home again");
  assert.deepEqual(queues.order(10), [2, 3, 0, 1], "a clock that was set back avoids nothing");
  assert.ok(queues.failed(2, 2_000 + AVOID_MS), "news again");
});

test("every queue is tried once, whatever failed", () => {
  for (const count of [1, 2, 3, 16]) {
    const queues = new Queues(new Uint8Array(16).fill(0x5a), count);
    for (let failed = 0; failed < count; failed += 1) {
      const order = queues.order(5).sort((one, other) => one - other);
      assert.deepEqual(order, Array.from({ length: count }, (_, queue) => queue));
      queues.failed(failed, 5);
    }
  }
});

/** Queues on a clock of their own, which do what the script says, call by call, but for those that are down. */
class Script implements Port {
  now = 0;
  readonly sent: number[][] = [];
  /** The queue of each call, also of those that are down. */
  readonly asked: number[] = [];
  readonly down = new Set<number>();
  readonly #script: ("takes" | "refuses" | "hangs")[];
  constructor(...script: ("takes" | "refuses" | "hangs")[]) {
    this.#script = script;
  }
  send(queue: number, batch: readonly Outgoing[]): Promise<void> {
    this.asked.push(queue);
    // As a binding that is missing: nothing is promised.
    if (this.down.has(queue)) throw new Error(`queue ${queue} is down`);
    this.sent.push(batch.map(({ sequence }) => sequence));
    const what = this.#script.shift() ?? "takes";
    if (what === "hangs") return new Promise(() => {});
    return what === "takes" ? Promise.resolve() : Promise.reject(new Error("full"));
  }
  wait(milliseconds: number) {
    let isCancelled = false;
    // Time passes when nothing else happens.
    const done = new Promise<void>((resolve) =>
      setImmediate(() => {
        if (isCancelled) return;
        this.now += milliseconds;
        resolve();
      }),
    );
    return { done, cancel: () => void (isCancelled = true) };
  }
  nowMs() {
    return this.now;
  }
}

const message = (sequence: number, bytes = 10): Outgoing => ({ sequence, bytes: new Uint8Array(bytes) });
const failureOf = (unsent: { failure: unknown } | undefined) => (unsent?.failure as Error).message;

/** Sends, and says what is left, what was confirmed and which queues are news as failing. */
async function run(port: Port, queues: Queues, ...messages: Outgoing[]) {
  const [confirmed, avoided]: [number[], number[]] = [[], []];
  const unsent = await send(port, queues, { id: 1, messages }, {
    confirm: (sequences) => void confirmed.push(...sequences),
    avoided: (queue) => void avoided.push(queue),
  });
  return { unsent, confirmed, avoided };
}

test("a send is tried a few times, and what it did not bring is left", async () => {
  const port = new Script("refuses", "hangs");
  assert.deepEqual(await run(port, queuesOf(0, 1), message(1), message(2)), {
    unsent: undefined,
    confirmed: [1, 2],
    avoided: [0],
  });
  assert.deepEqual(port.sent, [[1, 2], [1, 2], [1, 2]]);
  assert.equal(port.now, SEND_BACKOFF_MS[0]! + SEND_TIMEOUT_MS + SEND_BACKOFF_MS[1]!);

  const down = new Script("takes", "refuses", "refuses", "refuses");
  const { unsent, confirmed } = await run(down, queuesOf(0, 1), message(3, 200_000), message(4, 200_000));
  assert.deepEqual([unsent?.sequences, failureOf(unsent), confirmed], [[4], "full", [3]]);
  assert.deepEqual(down.sent, [[3], [4], [4], [4]]);

  // Whoever is slow stops before another may take its messages, and says what it saw.
  const slow = new Script("hangs", "hangs", "hangs", "hangs", "hangs", "hangs");
  const { unsent: left } = await run(slow, queuesOf(0, 1), message(5, 200_000), message(6, 200_000));
  assert.deepEqual([left?.sequences, failureOf(left)], [[5, 6], `no answer within ${SEND_TIMEOUT_MS} ms`]);
  assert.ok(slow.now < IN_FLIGHT_MS, `${slow.now}`);
});

test("what one queue refuses goes to the next at once, and home again later", async () => {
  const queues = queuesOf(1, 3);
  const port = new Script();
  port.down.add(1);
  const sent = await run(port, queues, ...[1, 2, 3].map((sequence) => message(sequence, 100_000)));
  assert.deepEqual(sent, { unsent: undefined, confirmed: [1, 2, 3], avoided: [1] });
  assert.deepEqual(port.asked, [1, 2, 2], "the second batch does not ask the one that failed");
  assert.equal(port.now, 0, "nothing waits");
  // While it is avoided nothing is sent there, although it would take it.
  port.down.clear();
  assert.deepEqual((await run(port, queues, message(4))).avoided, []);
  port.now = AVOID_MS;
  assert.deepEqual((await run(port, queues, message(5))).confirmed, [5]);
  assert.deepEqual(port.asked.slice(3), [2, 1]);
});

test("a queue that hangs is left for the next in time", async () => {
  const port = new Script("hangs");
  assert.deepEqual(await run(port, queuesOf(2, 3), message(1)), { unsent: undefined, confirmed: [1], avoided: [2] });
  assert.deepEqual([port.asked, port.now], [[2, 0], SEND_TIMEOUT_MS]);
});

test("a queue that takes again is as good as ever, and fails anew", async () => {
  const queues = queuesOf(0, 2);
  assert.deepEqual(await run(new Script("refuses", "refuses"), queues, message(1)), {
    unsent: undefined,
    confirmed: [1],
    avoided: [0, 1],
  });
  const port = new Script("refuses");
  port.now = AVOID_MS - 1;
  assert.deepEqual((await run(port, queues, message(2))).avoided, [0], "it took the last one");
  assert.deepEqual(port.asked, [0, 1]);
});

test("where all queues fail, the tries are bounded and reach different queues", async () => {
  for (const [count, tries] of [[1, 3], [2, 6], [3, 9], [16, 9]] as const) {
    const port = new Script();
    for (let queue = 0; queue < count; queue += 1) port.down.add(queue);
    const { unsent, confirmed, avoided } = await run(port, queuesOf(0, count), message(1));
    assert.deepEqual([unsent?.sequences, confirmed, port.asked.length], [[1], [], tries], `${count}`);
    assert.match(failureOf(unsent), /is down$/);
    assert.equal(new Set(port.asked).size, Math.min(tries, count));
    assert.equal(avoided.length, new Set(port.asked).size, "each is news once");
  }
  // Also where all of them hang.
  const port = new Script(...new Array<"hangs">(99).fill("hangs"));
  const messages = Array.from({ length: 6 }, (_, at) => message(at + 1, 100_000));
  assert.deepEqual((await run(port, queuesOf(5, 16), ...messages)).unsent?.sequences, [1, 2, 3, 4, 5, 6]);
  assert.ok(port.now < IN_FLIGHT_MS, `${port.now}`);
});
