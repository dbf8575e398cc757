// What the environment configures. A value that does not parse is an error in the log, and the default is in effect.

import { DEFAULT_FLUSH_INTERVAL_MS, MAX_FLUSH_INTERVAL_MS, MAX_LEDGERS } from "./limits.ts";
import type { Attributes } from "./otlp.ts";

/** The environment of a request: bindings and variables by name. */
export type Environment = object;

/** What a Worker is configured to do. */
export interface Config {
  readonly flushIntervalMs: number;
  /** Queues that carry deltas, and so the ledgers that count them. */
  readonly queueShards: number;
  readonly attributes: Attributes;
  /** What to say in the log. */
  readonly problems: readonly string[];
}

/** Reads the variables. `name` is the service's where nothing else is said. */
export function configure(environment: Environment, name: string): Config {
  const problems: string[] = [];
  const lookup = (variable: string): string => {
    const value: unknown = Reflect.get(environment, variable);
    return value === undefined || value === null ? "" : String(value).trim();
  };
  let attributes: Attributes = {};
  const list = lookup("OTEL_RESOURCE_ATTRIBUTES");
  try {
    attributes = parseAttributes(list);
  } catch {
    problems.push("OTEL_RESOURCE_ATTRIBUTES is not a list of key=value with percent-encoded values; it is left out");
  }
  const service = lookup("OTEL_SERVICE_NAME") || attributes["service.name"] || name;
  return {
    flushIntervalMs: flushInterval(lookup("FLUSH_INTERVAL_MS"), problems),
    queueShards: queueShards(lookup("QUEUE_SHARDS"), problems),
    attributes: { ...attributes, "service.name": service },
    problems,
  };
}

function flushInterval(text: string, problems: string[]): number {
  if (text === "") return DEFAULT_FLUSH_INTERVAL_MS;
  if (!/^\d{1,20}$/.test(text)) {
    problems.push(
      `FLUSH_INTERVAL_MS is not a whole number of milliseconds; the default ${DEFAULT_FLUSH_INTERVAL_MS} is in effect`,
    );
    return DEFAULT_FLUSH_INTERVAL_MS;
  }
  if (Number(text) <= MAX_FLUSH_INTERVAL_MS) return Number(text);
  problems.push(`FLUSH_INTERVAL_MS is over ${MAX_FLUSH_INTERVAL_MS}, which is in effect`);
  return MAX_FLUSH_INTERVAL_MS;
}

function queueShards(text: string, problems: string[]): number {
  if (text === "") return 1;
  const shards = /^\d+$/.test(text) ? Number(text) : 0;
  if (shards >= 1 && shards <= MAX_LEDGERS) return shards;
  problems.push(`QUEUE_SHARDS is not a whole number from 1 to ${MAX_LEDGERS}; 1 is in effect`);
  return 1;
}

/** Binding of the queue with a number: `binding` itself for the first, 0, and `DELTAS_1`, `DELTAS_2` … for the others. */
export function queueBinding(binding: string, queue: number): string {
  return queue === 0 ? binding : `${binding}_${queue}`;
}

/** A list with one bad entry is none (OpenTelemetry specification, Resource SDK). */
function parseAttributes(list: string): Attributes {
  const entries = list.split(",").map((entry) => entry.trim());
  return Object.fromEntries(
    entries
      .filter((entry) => entry !== "")
      .map((entry) => {
        const at = entry.indexOf("=");
        const key = decodeURIComponent(entry.slice(0, Math.max(at, 0)).trim());
        if (key === "") throw new Error("no key");
        return [key, decodeURIComponent(entry.slice(at + 1).trim())];
      }),
  );
}
