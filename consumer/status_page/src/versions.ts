// Which deploys answer, asked once a minute.

import { get } from "./poll.ts";

const INTERVAL_MS = 60_000;

/** One Worker as it is deployed; id and time are empty where the platform does not say. */
export interface Deploy {
  readonly version: string;
  readonly id: string;
  readonly deployedAt: string;
}

/** Both Workers; the producer is null where the page was not reached through it. */
export interface Versions {
  readonly consumer: Deploy;
  readonly producer: Deploy | null;
}

/** Asks now and then. A failure keeps the last answer: /metrics says what is wrong. */
export function watch(): { latest(): Promise<Versions | undefined> } {
  let known: Versions | undefined;
  let askedAt = -Infinity;
  return {
    async latest() {
      if (performance.now() - askedAt < INTERVAL_MS) return known;
      askedAt = performance.now();
      try {
        known = (await (await get("/status/versions", "application/json")).json()) as Versions;
      } catch {
        // As said above.
      }
      return known;
    },
  };
}

/** One line for both. */
export function text(versions: Versions | undefined): string {
  if (!versions) return "";
  const named = [["Producer", versions.producer], ["Consumer", versions.consumer]] as const;
  return named
    .flatMap(([name, deploy]) => (deploy ? [`${name} ${one(deploy)}`] : []))
    .join(" · ");
}

function one({ version, id, deployedAt }: Deploy): string {
  const deploy = [id.slice(0, 8), deployedAt.slice(0, 16).replace("T", " ")].filter((part) => part !== "").join(", ");
  return deploy === "" ? version : `${version} (deploy ${deploy})`;
}
