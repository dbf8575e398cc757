// What README and docs/otel.md give to paste is what runs: the example in the end to end tests, the fifteen lines here.

import "./resolve.mjs";
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";
import { Receiver } from "./decode.ts";

const read = (path: string) => readFileSync(new URL(`../../../${path}`, import.meta.url), "utf8");

function blocks(document: string, language: string): string[] {
  return read(document)
    .split(`\`\`\`${language}\n`)
    .slice(1)
    .map((rest) => rest.split("```")[0]!);
}

/** A source without the comment that is about this repository. */
const example = (path: string) => read(path).replace(/^(\/\/.*\n)+/, "");

test("the code is that of the examples", () => {
  const start = example("emitter/npm/example/src/start.ts");
  assert.ok(start.split("\n").length <= 16, "fifteen lines");
  assert.deepEqual(blocks("README.md", "ts"), [start]);
  assert.deepEqual(blocks("docs/otel.md", "ts"), [start, example("emitter/npm/example/src/index.ts")]);
  const [wrangler] = blocks("docs/otel.md", "toml");
  assert.equal(wrangler, read("emitter/npm/example/wrangler.toml").replace("tributary-npm-example", "hello"));
});

test("what goes into a wrangler.jsonc is what is in the wrangler.toml", () => {
  const [, json] = read("docs/otel.md").match(/`("queues": [^`]+)`/)!;
  const [producer, ...others] = JSON.parse(`{${json}}`).queues.producers;
  assert.deepEqual(others, []);
  const toml = Object.entries(producer).map(([key, value]) => `${key} = "${value}"\n`);
  assert.ok(read("emitter/npm/example/wrangler.toml").includes(`[[queues.producers]]\n${toml.join("")}`));
});

test("the versions of OpenTelemetry are those that the package asks for", () => {
  const { peerDependencies } = JSON.parse(read("emitter/npm/package.json"));
  const least = ["api", "sdk-metrics"].map((name) => peerDependencies[`@opentelemetry/${name}`].match(/^>=(\d+\.\d+)/)[1]);
  assert.ok(read("docs/otel.md").includes(`versions ${least.join(" and ").replaceAll(".0", "")},`), `${least}`);
});

test("the fifteen lines count", async () => {
  const receiver = new Receiver();
  const send = async (body: Uint8Array): Promise<void> => receiver.take(body);
  const { default: worker } = await import("../example/src/start.ts");
  const waiting: Promise<unknown>[] = [];
  const context = { waitUntil: (promise: Promise<unknown>) => void waiting.push(promise) };
  for (const query of ["", "?name=Ada", "?name=Grace"]) {
    const response = await worker.fetch(new Request(`http://hello/${query}`), { DELTAS: { send }, FLUSH_INTERVAL_MS: "10" }, context);
    assert.match(await response.text(), /^Hello /);
  }
  await Promise.all(waiting);
  assert.deepEqual(receiver.integers, new Map([["hello.greetings{known=false}", 1], ["hello.greetings{known=true}", 2]]));
  assert.deepEqual(receiver.counts, new Map([["hello.name.length{}", [0, 1, 2, 0, 0]]]));
});
