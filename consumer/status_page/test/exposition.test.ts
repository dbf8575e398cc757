import assert from "node:assert/strict";
import { test } from "node:test";
import { ExpositionError, parse } from "../src/exposition.ts";

const only = (text: string) => [...parse(text, false).values()].flat();

test("a text of both formats reads back", () => {
  const text = `# HELP x_total A "quoted" help with { and }.
# TYPE x_total counter
x_total{reason="A",resolver_id="r"} 3
x_total{resolver_id="r",reason="B",} 4.5e3 1700000000
# TYPE g gauge
g -0.25
`;
  const read = parse(text, false);
  assert.deepEqual(
    read.get("x_total")!.map(({ labels, value }) => [Object.fromEntries(labels), value]),
    [
      [{ reason: "A", resolver_id: "r" }, 3],
      [{ reason: "B", resolver_id: "r" }, 4500],
    ],
  );
  assert.equal(read.get("g")![0]!.value, -0.25);
  const openMetrics = `# TYPE x counter\n# UNIT x seconds\nx_total 1.0 # {trace="a"} 0.5\n# EOF\n`;
  assert.equal(parse(openMetrics, true).get("x_total")![0]!.value, 1);
});

test("escapes in label values are undone once", () => {
  const [sample] = only('x{a="\\\\n",b="\\n",c="\\"",d="}, ",e=""} 1\n');
  assert.deepEqual(Object.fromEntries(sample!.labels), { a: "\\n", b: "\n", c: '"', d: "}, ", e: "" });
});

test("values that are no decimal numbers are those of the format and no others", () => {
  assert.deepEqual(only("a +Inf\nb -Inf\nc NaN\nd .5\ne 1.\n").map(({ value }) => value), [Infinity, -Infinity, NaN, 0.5, 1]);
  for (const value of ["", "inf", "Infinity", "0x10", "1_000", "1,0", "--1", "e5", "1e", "null"]) {
    assert.throws(() => parse(`x ${value}\n`, false), ExpositionError, value);
  }
});

test("what is malformed is an error with its line", () => {
  for (const line of [
    '{a="b"} 1', 'x{a="b" 1', 'x{a=b} 1', 'x{a="b"}1', 'x{a="b",,c="d"} 1', 'x{a="b",a="c"} 1', 'x{a="\\q"} 1',
    "x", "x  1", "1x 1", "x 1 soon", "# TYPE x thing", "# TYPE x",
  ]) {
    assert.throws(() => parse(`ok 1\n${line}\n`, false), { name: "ExpositionError", message: /^line 2: / }, line);
  }
});

test("a text that was cut off, or goes on after its end, is an error", () => {
  assert.throws(() => parse("x 1\ny 2", false), ExpositionError);
  assert.throws(() => parse("x_total 1\n", true), /cut off/);
  assert.throws(() => parse("", true), ExpositionError);
  assert.throws(() => parse("# EOF\nx 1\n", true), ExpositionError);
});

test("a series or a type that comes twice is an error", () => {
  assert.throws(() => parse('x{a="1"} 1\nx{a="1"} 2\n', false), /second sample/);
  assert.throws(() => parse("# TYPE x gauge\n# TYPE x gauge\n", false), /second TYPE/);
  assert.equal(only('x{a="1"} 1\nx{a="2"} 2\nx 3\n').length, 3);
});

test("names that objects have by themselves are names like others", () => {
  const read = parse('constructor{__proto__="1"} 2\ntoString 3\n', false);
  assert.equal(read.get("constructor")![0]!.labels.get("__proto__"), "1");
  assert.equal(read.get("toString")![0]!.value, 3);
  assert.equal(read.get("valueOf"), undefined);
});
