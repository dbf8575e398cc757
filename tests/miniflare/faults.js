// Faults that a real platform has on a bad day, on order: whether one strikes is asked of the test at FAULT_URL, which
// draws it from its seed and counts it.

/** What strikes at this place: "pass", "before" it takes effect, or "after" it did. */
export async function fate(url, place) {
  return (await fetch(`${url}/fault/${place}`, { method: "POST", body: "" })).text();
}

const base64 = (bytes) => btoa(Array.from(bytes, (byte) => String.fromCharCode(byte)).join(""));

/** A KV namespace whose puts fail, before or after they took effect, and whose gets fail or take long. */
export class FaultyKv {
  constructor(real, url, { put, get }) {
    this.real = real;
    this.url = url;
    this.places = { put, get };
  }
  async put(...args) {
    const strike = await fate(this.url, this.places.put);
    if (strike !== "before") await this.real.put(...args);
    if (strike !== "pass") throw new Error("KV PUT failed: 503 Service Unavailable");
  }
  async get(...args) {
    if (this.places.get !== undefined) {
      const strike = await fate(this.url, this.places.get);
      if (strike === "slow") await scheduler.wait(20_000);
      if (strike !== "pass") throw new Error("KV GET failed: 503 Service Unavailable");
    }
    return this.real.get(...args);
  }
  getWithMetadata(...args) {
    return this.real.getWithMetadata(...args);
  }
  list(...args) {
    return this.real.list(...args);
  }
  delete(...args) {
    return this.real.delete(...args);
  }
}

/**
 * A queue that is the test's. It has a message when the test answered that it has; where the test does not say so, it
 * may have it all the same. The name is what the `worker` crate asks a queue binding for.
 */
export class WorkerQueue {
  #address;
  constructor(url, name) {
    this.#address = `${url}/queue/${name}`;
  }
  send(body, options) {
    return this.sendBatch([{ body, ...options }]);
  }
  async sendBatch(messages) {
    const bodies = [];
    for (const { body, contentType } of messages) {
      if (contentType !== "bytes") throw new Error(`a body of type ${contentType}: everything that is sent is bytes`);
      bodies.push(base64(body));
    }
    const answer = await fetch(this.#address, { method: "POST", body: JSON.stringify(bodies) });
    if (answer.status !== 200) throw new Error("Queue send failed: Unknown Internal Error (15000)");
    return {};
  }
}
