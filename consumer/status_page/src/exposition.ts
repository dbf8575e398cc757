// A strict parser of the Prometheus text format 0.0.4 and of OpenMetrics text 1.0. What it does not understand is an
// error with its line, never a number that is silently missing.

/** One line with a value. */
export interface Sample {
  readonly labels: ReadonlyMap<string, string>;
  readonly value: number;
}

/** All samples by their names, `…_total`, `…_bucket` and so on, in the order of the text. */
export type Exposition = ReadonlyMap<string, readonly Sample[]>;

/** Text that is no exposition. */
export class ExpositionError extends Error {
  constructor(line: number, why: string) {
    super(`line ${line}: ${why}`);
    this.name = "ExpositionError";
  }
}

const NAME = /[a-zA-Z_:][a-zA-Z0-9_:]*/y;
const LABEL = /([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"/y;
const TYPES = new Set([
  ...["counter", "gauge", "histogram", "summary", "untyped"],
  ...["unknown", "info", "stateset", "gaugehistogram"],
]);
const NUMBER = /^[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?$/;

/**
 * Parses a whole exposition. `isOpenMetrics` as its content type says: such a text ends with `# EOF`, and one that
 * does not was cut off.
 *
 * @throws {ExpositionError}
 */
export function parse(text: string, isOpenMetrics: boolean): Exposition {
  const samples = new Map<string, Sample[]>();
  const types = new Set<string>();
  const seen = new Set<string>();
  const lines = text.split("\n");
  if (lines.pop() !== "") throw new ExpositionError(lines.length + 1, "the last line does not end");
  let hasEnded = false;
  for (const [index, line] of lines.entries()) {
    const fail = (why: string) => new ExpositionError(index + 1, why);
    if (hasEnded) throw fail("text after # EOF");
    if (line === "# EOF") {
      hasEnded = true;
    } else if (line.startsWith("#")) {
      const [, keyword, name, type] = line.split(" ");
      if (keyword !== "TYPE") continue;
      if (type === undefined || !TYPES.has(type)) throw fail("no such type");
      if (types.has(name!)) throw fail("a second TYPE of one family");
      types.add(name!);
    } else if (line !== "") {
      const { name, sample } = parseSample(line, fail);
      const key = line.slice(0, line.lastIndexOf("}") + 1) || name;
      if (seen.has(key)) throw fail("a second sample of one series");
      seen.add(key);
      const of = samples.get(name);
      if (of) of.push(sample);
      else samples.set(name, [sample]);
    }
  }
  if (isOpenMetrics && !hasEnded) throw new ExpositionError(lines.length, "cut off: it does not end with # EOF");
  return samples;
}

function parseSample(line: string, fail: (why: string) => ExpositionError): { name: string; sample: Sample } {
  NAME.lastIndex = 0;
  const name = NAME.exec(line)?.[0];
  if (name === undefined) throw fail("no metric name");
  let at = name.length;
  const labels = new Map<string, string>();
  if (line[at] === "{") {
    at += 1;
    while (line[at] !== "}") {
      LABEL.lastIndex = at;
      const match = LABEL.exec(line);
      if (!match) throw fail("no label");
      const [whole, label, value] = match as unknown as [string, string, string];
      if (labels.has(label)) throw fail("a label twice");
      labels.set(label, value.replace(/\\(.)/g, (_, escaped) => (escaped === "n" ? "\n" : escaped)));
      at += whole.length;
      if (line[at] === ",") at += 1;
      else if (line[at] !== "}") throw fail("no end of the labels");
    }
    at += 1;
  }
  if (line[at] !== " ") throw fail("no space before the value");
  // A timestamp may follow, and an exemplar; neither is of use here.
  const [value, timestamp] = line.slice(at + 1).split(" # ")[0]!.split(" ");
  if (timestamp !== undefined && !NUMBER.test(timestamp)) throw fail("no timestamp");
  return { name, sample: { labels, value: parseNumber(value!, fail) } };
}

function parseNumber(text: string, fail: (why: string) => ExpositionError): number {
  if (NUMBER.test(text)) return Number(text);
  if (text === "+Inf") return Infinity;
  if (text === "-Inf") return -Infinity;
  if (text === "NaN") return NaN;
  throw fail("no number");
}
