// Numbers as people read them. What is not there is a dash.

export const DASH = "–";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0, signDisplay: "negative" });
const digits = new Intl.NumberFormat("en", { maximumSignificantDigits: 3 });

/** A whole number, with separators. */
export function count(value: number | null | undefined): string {
  return isNumber(value) ? whole.format(value) : DASH;
}

/** Three digits, with separators. */
export function short(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  return Math.abs(value) >= 1000 ? whole.format(value) : digits.format(value);
}

/** A time of `value` microseconds with two digits, for the bounds of buckets: 1467.8 µs is 1.5 ms. */
export function roughMicros(value: number): string {
  return micros(Number(value.toPrecision(2)));
}

/** A rate per second, a small one per minute. */
export function rate(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  return value > 0 && value < 0.1 ? `${short(value * 60)}/min` : `${short(value)}/s`;
}

/** A share of 1 in percent: never 0 % or 100 % unless it is exactly that. */
export function percent(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  if (value > 0 && value < 0.0001) return "< 0.01 %";
  if (value < 1 && value > 0.9999) return "> 99.99 %";
  return `${Number((value * 100).toFixed(value > 0.99 || value < 0.01 ? 2 : 1))} %`;
}

const UNITS: readonly (readonly [number, string])[] = [
  [86_400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
  [1e-3, "ms"],
  [1e-6, "µs"],
];

/** A time of `value` seconds in the unit that suits it. */
export function seconds(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  if (value === 0) return "0 s";
  // What would be shown as 1000 ms is shown as 1 s.
  const [size, unit] = UNITS.find(([size]) => Math.abs(value) >= size * 0.9995) ?? UNITS.at(-1)!;
  return `${short(value / size)} ${unit}`;
}

/** A time of `value` microseconds. */
export function micros(value: number | null | undefined): string {
  return seconds(isNumber(value) ? value / 1e6 : value);
}

/** A size in bytes. */
export function bytes(value: number | null | undefined): string {
  if (!isNumber(value)) return DASH;
  for (const [size, unit] of [[2 ** 30, "GiB"], [2 ** 20, "MiB"], [2 ** 10, "KiB"]] as const) {
    if (value >= size) return `${short(value / size)} ${unit}`;
  }
  return `${count(value)} B`;
}

/** The time of day. */
export function clock(time: number): string {
  return new Date(time * 1000).toLocaleTimeString("en-GB");
}

/** `RESOLVE_REASON_NO_SEGMENT_MATCH` as "no segment match", `kv_failed` as "kv failed". */
export function words(name: string): string {
  return name.replace(/^RESOLVE_REASON_/, "").replaceAll("_", " ").toLowerCase();
}

function isNumber(value: number | null | undefined): value is number {
  return typeof value === "number" && Number.isFinite(value);
}
