// Protobuf as it is written by this package and nothing more: proto3, fields in the order of their numbers, defaults left
// out. So the bytes are those of prost.

const text = new TextEncoder();

/** Writes one message. */
export class Writer {
  #bytes = new Uint8Array(128);
  #view = new DataView(this.#bytes.buffer);
  #length = 0;

  /** A message, or bytes that are there even if they are empty. */
  message(field: number, bytes: Uint8Array): this {
    this.#tag(field, 2);
    this.#varint(bytes.length);
    this.#reserve(bytes.length);
    this.#bytes.set(bytes, this.#length);
    this.#length += bytes.length;
    return this;
  }

  /** Bytes; empty ones are none. */
  bytes(field: number, bytes: Uint8Array): this {
    return bytes.length === 0 ? this : this.message(field, bytes);
  }

  /** A string; an empty one is none. */
  string(field: number, value: string): this {
    return this.bytes(field, text.encode(value));
  }

  /** A string of a oneof, which is there even if it is empty. */
  stringOfOneof(field: number, value: string): this {
    return this.message(field, text.encode(value));
  }

  /** A uint32, uint64 or enum: a whole number from 0. */
  uint(field: number, value: number | bigint): this {
    if (value == 0) return this;
    return this.uintOfOneof(field, value);
  }

  /** The same of a oneof; also an int64, and a bool. */
  uintOfOneof(field: number, value: number | bigint): this {
    this.#tag(field, 0);
    this.#varint(value);
    return this;
  }

  /** A sint32. */
  sint32(field: number, value: number): this {
    return this.uint(field, ((value << 1) ^ (value >> 31)) >>> 0);
  }

  /** A fixed64. */
  fixed64(field: number, value: number | bigint): this {
    return value == 0 ? this : this.fixed64OfOneof(field, BigInt(value));
  }

  /** A fixed64 or sfixed64 of a oneof. */
  fixed64OfOneof(field: number, value: bigint): this {
    this.#tag(field, 1);
    this.#eight((view, at) => view.setBigUint64(at, BigInt.asUintN(64, value), true));
    return this;
  }

  /** A double; 0 is none. */
  double(field: number, value: number): this {
    return value === 0 ? this : this.doubleOfOneof(field, value);
  }

  /** A double of a oneof, or an optional one. */
  doubleOfOneof(field: number, value: number): this {
    this.#tag(field, 1);
    this.#eight((view, at) => view.setFloat64(at, value, true));
    return this;
  }

  /** Repeated fixed64, packed. */
  packedFixed64(field: number, values: readonly (number | bigint)[]): this {
    if (values.length === 0) return this;
    this.#tag(field, 2);
    this.#varint(values.length * 8);
    for (const value of values) this.#eight((view, at) => view.setBigUint64(at, BigInt(value), true));
    return this;
  }

  /** Repeated doubles, packed. */
  packedDouble(field: number, values: readonly number[]): this {
    if (values.length === 0) return this;
    this.#tag(field, 2);
    this.#varint(values.length * 8);
    for (const value of values) this.#eight((view, at) => view.setFloat64(at, value, true));
    return this;
  }

  /** Repeated uint64, packed. */
  packedUint(field: number, values: readonly (number | bigint)[]): this {
    if (values.length === 0) return this;
    const packed = new Writer();
    for (const value of values) packed.#varint(value);
    return this.message(field, packed.finish());
  }

  /** The message. */
  finish(): Uint8Array<ArrayBuffer> {
    return this.#bytes.slice(0, this.#length);
  }

  #tag(field: number, wireType: number): void {
    this.#varint(field * 8 + wireType);
  }

  #varint(value: number | bigint): void {
    this.#reserve(10);
    if (typeof value === "bigint") {
      let rest = BigInt.asUintN(64, value);
      while (rest > 127n) {
        this.#bytes[this.#length++] = Number(rest & 127n) | 128;
        rest >>= 7n;
      }
      this.#bytes[this.#length++] = Number(rest);
      return;
    }
    // Division and not shifts, which have 32 bits.
    while (value > 127) {
      this.#bytes[this.#length++] = (value % 128) | 128;
      value = Math.floor(value / 128);
    }
    this.#bytes[this.#length++] = value;
  }

  #eight(set: (view: DataView, at: number) => void): void {
    this.#reserve(8);
    set(this.#view, this.#length);
    this.#length += 8;
  }

  #reserve(bytes: number): void {
    if (this.#length + bytes <= this.#bytes.length) return;
    const larger = new Uint8Array(Math.max(2 * this.#bytes.length, this.#length + bytes));
    larger.set(this.#bytes);
    this.#bytes = larger;
    this.#view = new DataView(larger.buffer);
  }
}
