/**
 * Protocol frames made by hand, so that they can be wrong. `docs/protocol.md` says what they mean; this file knows only
 * their bytes, and nothing of the package's own encoder.
 */

/** What a client says first. */
export const TYPE = { hello: 1, subscribe: 2, unsubscribe: 3, credit: 4, push: 5, barrier: 6, cancel: 7 };
/** What a node says. */
export const NODE_TYPE = { welcome: 65, rejected: 69, error: 72 };
/** The largest frame that a node takes. */
export const FRAME_BYTES_MAX = 1 << 20;

/** Bytes of an unsigned integer (LEB128). @param {number | bigint} value */
export function uint(value) {
  const bytes = [];
  let rest = BigInt(value);
  while (rest >= 0x80n) {
    bytes.push(Number(rest & 0x7fn) | 0x80);
    rest >>= 7n;
  }
  return [...bytes, Number(rest)];
}

/** Bytes of a 64-bit id. @param {bigint} value */
export function fixed(value) {
  return [...new Uint8Array(new BigUint64Array([value]).buffer)];
}

/** Bytes with their length before them. @param {ArrayLike<number>} bytes */
export function sized(bytes) {
  return [...uint(bytes.length), ...Array.from(bytes)];
}

/** Text with its length before it. @param {string} text */
export function text(text) {
  return sized(new TextEncoder().encode(text));
}

/** @param {bigint} origin */
export function hello(origin) {
  return Uint8Array.from([TYPE.hello, 0x48, 0x57, ...uint(1), ...fixed(0n), ...fixed(origin), ...uint(0)]);
}

/** From an empty frontier. @param {number} group @param {string[]} docs */
export function subscribe(group, docs) {
  return Uint8Array.from([TYPE.subscribe, ...uint(group), 0, 0, ...uint(docs.length), ...docs.flatMap(text)]);
}

/** @param {number} id @param {bigint} origin @param {number} seq */
export function barrier(id, origin, seq) {
  return Uint8Array.from([TYPE.barrier, ...uint(id), 0, 0, ...uint(1), ...fixed(origin), ...uint(seq)]);
}

/**
 * One write to one document.
 * @param {{ origin: bigint, resume?: number, prev?: number, seq?: number, doc?: string, update: ArrayLike<number> }} write
 */
export function push({ origin, resume = 1, prev = 0, seq = 1, doc = "notes", update }) {
  const batch = [...uint(1), ...text(doc), ...uint(1), ...fixed(origin), ...uint(1)];
  const entry = [...uint(0), ...uint(seq), ...uint(1), ...uint(0), ...uint(update.length)];
  const head = Uint8Array.from([TYPE.push, resume, ...uint(prev), ...batch, ...entry]);
  const frame = new Uint8Array(head.length + update.length);
  frame.set(head);
  frame.set(update, head.length);
  return frame;
}

/** The code in an error frame. @param {Uint8Array} frame */
export function errorCode(frame) {
  return frame[1];
}
