// The bounds are those of the Rust crates, by name and number.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import * as limits from "../src/limits.ts";

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");
const rust = ["emitter/src/limits.rs", "telemetry/src/limits.rs", "proto/src/envelope.rs"].map(read).join("\n");

/** Names of this package that are others there. */
const renamed: Record<string, string> = {
  MAX_NAME_BYTES: "MAX_RESOLVER_ID_BYTES",
  MAX_FAMILY_SERIES: "MAX_SERIES_PER_FAMILY",
  MAX_SERIES: "MAX_CUSTOM_SERIES",
};

test("every bound is the one of the Rust crates", () => {
  let compared = 0;
  for (const [name, value] of Object.entries(limits)) {
    if (name === "MAX_FRAGMENT_BYTES") continue;
    const text = rust.match(new RegExp(`pub const ${renamed[name] ?? name}: [^=]+ = ([^;]+);`))?.[1];
    assert.ok(text !== undefined, name);
    assert.deepEqual(JSON.parse(text.replaceAll("_", "")), value, name);
    compared += 1;
  }
  assert.equal(compared, Object.keys(limits).length - 1);
  assert.equal(limits.MAX_FRAGMENT_BYTES, limits.MAX_ENVELOPE_BYTES - limits.ENVELOPE_OVERHEAD_BYTES);
});
