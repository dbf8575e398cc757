// Cuts points to the size of messages: each says the resource again, and of scopes and metrics those that it has points of.
// A metric may go on in the next message. No point is lost but one that alone is larger than a message. The same as
// emitter/otel/src/pack.rs, byte for byte.

import {
  bucketCount,
  encodeAttribute,
  encodeMetric,
  encodePoint,
  encodeResource,
  encodeScope,
  type Attributes,
  type Head,
  type Point,
  type Resource,
  type Scope,
  type ScopeMetrics,
} from "./otlp.ts";
import { Writer } from "./protobuf.ts";

/** About what the labels of a scope take in a series beside what the scope takes encoded. */
const SCOPE_LABEL_BYTES = 100;

/** The same for an attribute of the scope. */
const ATTRIBUTE_LABEL_BYTES = 20;

/** Bytes that a field may take beside its content: its number and its length. */
const FIELD_BYTES = 5;

/** What one message may hold. */
export interface Bounds {
  readonly bytes: number;
  readonly points: number;
  readonly buckets: number;
  /** About the most bytes where the labels of the scope, which a message says once, stand in each series. */
  readonly written: number;
}

interface OpenMetric {
  readonly head: Head;
  readonly points: Uint8Array[];
}

interface OpenScope {
  readonly scope: Uint8Array;
  readonly schemaUrl: string;
  readonly metrics: OpenMetric[];
}

const text = new TextEncoder();

function textBytes(...values: string[]): number {
  return values.reduce((sum, value) => sum + text.encode(value).length, 0);
}

/** Bytes of an encoded scope without metrics. */
function emptyScopeBytes(scope: Uint8Array, schemaUrl: string): number {
  return new Writer().message(1, scope).string(3, schemaUrl).finish().length;
}

/** What the attributes that name the service take encoded. */
function jobBytes(attributes: Attributes): number {
  const sizes = ["service.name", "service.namespace"].map((key) => {
    const value = attributes[key];
    return value === undefined || value === null ? 0 : encodeAttribute(key, value).length;
  });
  return sizes.reduce((sum, size) => sum + size, 0);
}

/** Encoded ResourceMetrics, each for one message, and how many points were larger than a message. */
export interface Packed {
  readonly messages: Uint8Array[];
  readonly tooLarge: number;
}

/** Writes what all these scopes measured. */
export function pack(bounds: Bounds, resource: Resource, scopes: readonly ScopeMetrics[]): Packed {
  const packer = new Packer(bounds, resource);
  for (const { scope, metrics } of scopes) {
    packer.scope(scope);
    for (const { head, points } of metrics) {
      packer.metric(head);
      for (const point of points) packer.point(point);
    }
  }
  return packer.finish();
}

/** Fills messages, one after the other. */
class Packer {
  readonly #bounds: Bounds;
  readonly #resource: Uint8Array;
  readonly #schemaUrl: string;
  /** What a message has before its first point. */
  readonly #base: number;
  #scope: { bytes: Uint8Array; schemaUrl: string; size: number } = { bytes: new Uint8Array(), schemaUrl: "", size: 0 };
  readonly #job: number;
  /** About what of resource and scope stands in each series. */
  #common = 0;
  /** What the points take beyond `#bytes` where they are written. */
  #repeated = 0;
  #head: Head = { name: "", description: "", unit: "", kind: "gauge" };
  #headBytes = 0;
  #scopeIsOpen = false;
  #metricIsOpen = false;
  #scopes: OpenScope[] = [];
  #bytes: number;
  #points = 0;
  #buckets = 0;
  readonly #done: Uint8Array[] = [];
  #tooLarge = 0;

  /** An empty first message. A resource that would take more than half of it is left out. */
  constructor(bounds: Bounds, resource: Resource) {
    const encoded = encodeResource(resource);
    const schemaUrl = resource.schemaUrl ?? "";
    const base = encoded.length + textBytes(schemaUrl) + 2 * FIELD_BYTES;
    const fits = base <= Math.floor(bounds.bytes / 2);
    this.#job = fits ? jobBytes(resource.attributes) : 0;
    this.#bounds = bounds;
    this.#resource = fits ? encoded : new Uint8Array();
    this.#schemaUrl = fits ? schemaUrl : "";
    this.#base = fits ? base : 2 * FIELD_BYTES;
    this.#bytes = this.#base;
  }

  /** What comes is of this scope. */
  scope(scope: Scope): void {
    const [bytes, schemaUrl] = [encodeScope(scope), scope.schemaUrl ?? ""];
    const empty = emptyScopeBytes(bytes, schemaUrl);
    this.#scope = { bytes, schemaUrl, size: empty + FIELD_BYTES };
    const attributes = Object.values(scope.attributes ?? {}).filter((value) => value !== undefined && value !== null);
    this.#common = empty + attributes.length * ATTRIBUTE_LABEL_BYTES + SCOPE_LABEL_BYTES + this.#job;
    this.#scopeIsOpen = false;
    this.#metricIsOpen = false;
  }

  /** What comes is of this metric. */
  metric(head: Head): void {
    this.#head = head;
    this.#headBytes = textBytes(head.name, head.description, head.unit) + 5 * FIELD_BYTES + 4;
    this.#metricIsOpen = false;
  }

  /** Adds a point of the metric, of its kind. */
  point(point: Point): void {
    const encoded = encodePoint(point);
    const buckets = bucketCount(point);
    const size = encoded.length + FIELD_BYTES;
    const alone = size + this.#headBytes + this.#scope.size;
    const needed = this.#metricIsOpen ? size : this.#scopeIsOpen ? size + this.#headBytes : alone;
    const fits =
      this.#bytes + needed <= this.#bounds.bytes &&
      this.#points < this.#bounds.points &&
      this.#bytes + needed + this.#repeated + this.#common <= this.#bounds.written &&
      this.#buckets + buckets <= this.#bounds.buckets;
    if (fits) return this.#push(encoded, needed, buckets);
    if (this.#base + alone > this.#bounds.bytes || buckets > this.#bounds.buckets) {
      this.#tooLarge += 1;
      return;
    }
    this.#finish();
    this.#push(encoded, alone, buckets);
  }

  finish(): Packed {
    this.#finish();
    return { messages: this.#done, tooLarge: this.#tooLarge };
  }

  #push(point: Uint8Array, needed: number, buckets: number): void {
    if (!this.#scopeIsOpen) {
      this.#scopes.push({ scope: this.#scope.bytes, schemaUrl: this.#scope.schemaUrl, metrics: [] });
      this.#scopeIsOpen = true;
      this.#metricIsOpen = false;
    }
    const { metrics } = this.#scopes.at(-1)!;
    if (!this.#metricIsOpen) {
      metrics.push({ head: this.#head, points: [] });
      this.#metricIsOpen = true;
    }
    metrics.at(-1)!.points.push(point);
    this.#bytes += needed;
    this.#repeated += this.#common;
    this.#buckets += buckets;
    this.#points += 1;
  }

  #finish(): void {
    const [scopes, points] = [this.#scopes, this.#points];
    this.#scopes = [];
    this.#scopeIsOpen = false;
    this.#metricIsOpen = false;
    this.#bytes = this.#base;
    this.#repeated = 0;
    this.#points = 0;
    this.#buckets = 0;
    if (points === 0) return;
    const message = new Writer().message(1, this.#resource);
    for (const { scope, schemaUrl, metrics } of scopes) {
      const writer = new Writer().message(1, scope);
      for (const { head, points } of metrics) writer.message(2, encodeMetric(head, points));
      message.message(2, writer.string(3, schemaUrl).finish());
    }
    this.#done.push(message.string(3, this.#schemaUrl).finish());
  }
}
