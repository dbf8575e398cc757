// What the page says about itself and the pipeline in words: the banner and the line beside the title.

import { clock, seconds } from "./format.ts";

/** Without a delta for this time, somebody should know. */
const SILENT_SECONDS = 120;
/** Older copies than the one shown pass by within this time: KV's caches are at most a minute behind. */
const OLDER_SECONDS = 90;

/** How reading goes. Times are seconds since the epoch. */
export interface Health {
  /** The last read that worked. */
  readonly lastRead?: number | undefined;
  /** The last read that was not older than what is shown. */
  readonly lastNews?: number | undefined;
  /** Why the latest read did not work. */
  readonly failure?: string | undefined;
  readonly isSignedOut?: boolean | undefined;
  /** When the Ledger last applied something; 0: never. */
  readonly lastApplied?: number | undefined;
  /** When the copy that is shown was published, where it says so. */
  readonly published?: number | undefined;
}

/** A message and how grave it is. */
export interface Message {
  readonly text: string;
  readonly level: "" | "note" | "problem";
}

/** The banner; its text is empty where there is nothing to say. It changes with what happens, not with every second. */
export function banner(health: Health, now: number): Message {
  const { lastRead, lastNews, failure, lastApplied } = health;
  const shown = lastRead === undefined ? "" : ` The numbers below are from ${clock(lastRead)}.`;
  if (health.isSignedOut) {
    return { level: "problem", text: `Signed out: the token is no longer right. Reload to sign in again.${shown}` };
  }
  if (failure !== undefined) {
    return { level: "problem", text: `/metrics cannot be read (${failure}). Trying again.${shown}` };
  }
  if (lastRead === undefined) return { level: "", text: "" };
  if (lastNews !== undefined && now - lastNews > OLDER_SECONDS) {
    const text = `/metrics serves a copy that is older than these numbers, which are from ${clock(lastNews)}.`;
    return { level: "problem", text };
  }
  if (lastApplied === 0) return { level: "note", text: "No delta has been applied yet." };
  if (lastApplied !== undefined && now - lastApplied > SILENT_SECONDS) {
    const text = `Nothing has been applied since ${clock(lastApplied)}: there is no traffic, or the queue is stuck.`;
    return { level: "note", text };
  }
  return { level: "", text: "" };
}

/** The line beside the title. */
export function freshness(health: Health, isPaused: boolean, now: number): string {
  if (health.lastRead === undefined) return health.failure === undefined ? "Reading …" : "No numbers yet";
  const read = `read ${ago(now - health.lastRead)}`;
  const copy = health.published ? `, published ${ago(now - health.published)}` : "";
  const applied = health.lastApplied ? `, last delta applied ${ago(now - health.lastApplied)}` : "";
  const state = isPaused ? "Paused" : health.failure === undefined ? "Live" : "Not live";
  return `${state} · ${read}${copy}${applied}`;
}

/** "3 s ago", "just now". */
export function ago(age: number): string {
  return age < 1 ? "just now" : `${seconds(age < 60 ? Math.round(age) : age)} ago`;
}
