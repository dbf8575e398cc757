// A consumer of the tests' own: reads messages by protobuf's rules, knowing nothing of the writer.

/** Fields by number; a varint or fixed64 as a bigint, anything with a length as bytes. */
export type Fields = Map<number, (bigint | Uint8Array)[]>;

export function fields(bytes: Uint8Array): Fields {
  const all: Fields = new Map();
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  let at = 0;
  const varint = (): bigint => {
    let [value, shift] = [0n, 0n];
    for (;;) {
      const byte = view.getUint8(at++);
      value |= BigInt(byte & 127) << shift;
      if (byte < 128) return value;
      shift += 7n;
    }
  };
  while (at < bytes.length) {
    const tag = varint();
    const [field, type] = [Number(tag >> 3n), Number(tag & 7n)];
    let value: bigint | Uint8Array;
    if (type === 0) value = varint();
    else if (type === 1) [value, at] = [view.getBigUint64(at, true), at + 8];
    else if (type === 2) {
      const length = Number(varint());
      if (at + length > bytes.length) throw new Error("cut off");
      [value, at] = [bytes.subarray(at, at + length), at + length];
    } else throw new Error(`wire type ${type}`);
    all.set(field, [...(all.get(field) ?? []), value]);
  }
  return all;
}

export const one = (all: Fields, field: number) => all.get(field)?.[0];
export const nested = (all: Fields, field: number) => (all.get(field) ?? []).map((bytes) => fields(bytes as Uint8Array));
export const integer = (all: Fields, field: number) => Number((one(all, field) as bigint | undefined) ?? 0n);
export const string = (all: Fields, field: number) => Buffer.from((one(all, field) as Uint8Array) ?? []).toString();
export const signed = (value: bigint) => Number(BigInt.asIntN(64, value));
export function double(value: bigint): number {
  const view = new DataView(new ArrayBuffer(8));
  view.setBigUint64(0, value);
  return view.getFloat64(0);
}
export const packed64 = (bytes: Uint8Array | undefined) =>
  bytes === undefined
    ? []
    : Array.from({ length: bytes.length / 8 }, (_, at) =>
        new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(8 * at, true),
      );

/** Takes messages in any order and any number of times, and adds up each sequence once. */
export class Receiver {
  readonly sequences = new Set<number>();
  /** Integer sums, double sums, latest readings, histograms, by name and attributes. */
  readonly integers = new Map<string, number>();
  readonly doubles = new Map<string, number>();
  readonly readings = new Map<string, number>();
  readonly counts = new Map<string, number[]>();
  readonly sums = new Map<string, number>();
  readonly exponential = new Map<string, number>();
  dropped = 0;
  largestBytes = 0;
  service = "";

  take(bytes: Uint8Array): void {
    this.largestBytes = Math.max(this.largestBytes, bytes.length);
    const envelope = fields(bytes);
    const sequence = integer(envelope, 3);
    if (this.sequences.has(sequence)) return;
    this.sequences.add(sequence);
    if (integer(envelope, 5) < integer(envelope, 4)) throw new Error("a window that ends before it starts");
    for (const dropped of nested(envelope, 8)) this.dropped += integer(dropped, 3);
    for (const metrics of nested(envelope, 9)) {
      for (const pair of nested(nested(metrics, 1)[0]!, 1)) {
        if (string(pair, 1) === "service.name") this.service = string(nested(pair, 2)[0]!, 1);
      }
      for (const scope of nested(metrics, 2)) for (const metric of nested(scope, 2)) this.#metric(metric);
    }
  }

  #metric(metric: Fields): void {
    const name = string(metric, 1);
    const key = (point: Fields, field: number) => {
      const pairs = nested(point, field).map((pair) => {
        const value = nested(pair, 2)[0]!;
        return `${string(pair, 1)}=${value.has(2) ? Boolean(integer(value, 2)) : string(value, 1)}`;
      });
      return `${name}{${pairs.sort().join()}}`;
    };
    const add = (map: Map<string, number>, key: string, value: number) => map.set(key, (map.get(key) ?? 0) + value);
    for (const [field, data] of [5, 7, 9, 10].flatMap((field) => nested(metric, field).map((data) => [field, data] as const))) {
      if (field !== 5 && integer(data, 2) !== 1) throw new Error("not delta");
      for (const point of nested(data, 1)) {
        if (field === 5) this.readings.set(key(point, 7), double(one(point, 4) as bigint));
        else if (field === 7 && point.has(6)) add(this.integers, key(point, 7), signed(one(point, 6) as bigint));
        else if (field === 7) add(this.doubles, key(point, 7), double(one(point, 4) as bigint));
        else if (field === 9) {
          const counts = packed64(one(point, 6) as Uint8Array).map(Number);
          const before = this.counts.get(key(point, 9)) ?? counts.map(() => 0);
          if (counts.reduce((sum, count) => sum + count, 0) !== integer(point, 4)) throw new Error("counts differ");
          this.counts.set(key(point, 9), counts.map((count, at) => count + before[at]!));
          add(this.sums, key(point, 9), double(one(point, 5) as bigint));
        } else add(this.exponential, key(point, 1), integer(point, 4));
      }
    }
  }
}
