/**
 * What is in a stopped node's storage, row by row: whether what its plans name is there, and nothing else. It knows the plans'
 * bytes, as `crate/core/src/node/compact/plan.rs` has them, and nothing of the node's own code.
 */

import { Worker } from "../harness/worker.mjs";

const CONFIG = "pkg-tests/storage/rows.capnp";
const CHUNK_BYTES = 256 << 10;

/**
 * Compares plans and contents of a database whose worker is stopped.
 * @param {string} storage
 * @param {string} database
 */
export async function orphans(storage, database) {
  const inspector = new Worker(CONFIG, storage, undefined, {});
  await inspector.start();
  try {
    const rows = async (/** @type {string} */ table) => {
      const response = await fetch(`${inspector.url}/${encodeURIComponent(database)}/${table}`);
      if (!response.ok) throw new Error(`${table} answered ${response.status}: ${await response.text()}`);
      /** @type {{ key: string, value: string, bytes: number }[]} */
      const found = await response.json();
      return found.map(({ key, value, bytes }) => ({ key: Buffer.from(key, "base64"), value: Buffer.from(value, "base64"), bytes }));
    };
    const named = new Map();
    const plans = await rows("docs");
    for (const { key, value } of plans) {
      for (const [content, bytes] of namedBy(key, value)) named.set(content, bytes);
    }
    const contents = await rows("contents");
    const held = new Map(contents.map(({ key, bytes }) => [key.toString("hex"), bytes]));
    return {
      plans: plans.length,
      contents: contents.length,
      /** Rows that no plan names. */
      orphans: [...held.keys()].filter((key) => !named.has(key)),
      /** What a plan names and is not there, or is of another size. */
      missing: [...named].filter(([key, bytes]) => held.get(key) !== bytes).map(([key]) => key),
    };
  } finally {
    await inspector.kill();
  }
}

/** The keys and sizes of the rows that a plan names. @param {Buffer} doc @param {Buffer} plan */
function namedBy(doc, plan) {
  let at = 0;
  const byte = () => /** @type {number} */ (plan[at++]);
  const uint = () => {
    let [value, shift] = [0n, 0n];
    for (;;) {
      const next = byte();
      value |= BigInt(next & 0x7f) << shift;
      if (next < 0x80) return Number(value);
      shift += 7n;
    }
  };
  const keyOf = (/** @type {number} */ number, /** @type {number} */ chunk) => {
    const place = Buffer.alloc(16);
    place.writeBigUInt64BE(BigInt(number), 0);
    place.writeBigUInt64BE(BigInt(chunk), 8);
    return Buffer.concat([doc, Buffer.from([0]), place]).toString("hex");
  };
  if (byte() !== 1) throw new Error("a plan of another version");
  /** @type {[string, number][]} */
  const named = [];
  if (byte() === 1) {
    const [number, bytes] = [uint(), uint()];
    at += 8;
    for (let epochs = uint(); epochs > 0; epochs -= 1) (uint(), uint());
    for (let origins = uint(); origins > 0; origins -= 1) throw new Error("a snapshot names no origins");
    for (let chunk = 0; chunk * CHUNK_BYTES < bytes; chunk += 1) {
      named.push([keyOf(number, chunk), Math.min(CHUNK_BYTES, bytes - chunk * CHUNK_BYTES)]);
    }
  }
  for (let runs = uint(); runs > 0; runs -= 1) {
    const [number, , , bytes] = [uint(), uint(), uint(), uint(), uint()];
    named.push([keyOf(number, 0), bytes]);
  }
  if (at !== plan.length) throw new Error("a plan that does not end where it should");
  return named;
}
