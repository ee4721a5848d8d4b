/** What tests of files do in pages: content that can be made again anywhere, and what became of it. Runs in Node.js, too. */

/**
 * Bytes that a number determines; nothing of them repeats within a file.
 * @param {number} seed
 * @param {number} length
 */
export function content(seed, length) {
  const words = new Uint32Array(Math.ceil(length / 4));
  let state = (seed * 2654435761) >>> 0 || 1;
  for (let at = 0; at < words.length; at += 1) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    words[at] = state;
  }
  return new Uint8Array(words.buffer, 0, length);
}

/**
 * A stream of such bytes that never has more than a piece of them in memory. Each piece has a seed of its own.
 * @param {number} seed
 * @param {number} length
 * @param {number} [piece]
 */
export function stream(seed, length, piece = 1 << 20) {
  let at = 0;
  return new ReadableStream({
    pull(controller) {
      if (at >= length) return controller.close();
      controller.enqueue(content(seed + at / piece, Math.min(piece, length - at)));
      at += piece;
    },
  }, { highWaterMark: 0 });
}

/**
 * Whether a blob is what such a stream was, looked at piece by piece.
 * @param {Blob} blob
 * @param {number} seed
 * @param {number} length
 * @param {number} [piece]
 */
export async function isStream(blob, seed, length, piece = 1 << 20) {
  if (blob.size !== length) return false;
  for (let at = 0; at < length; at += piece) {
    const found = new Uint8Array(await blob.slice(at, at + piece).arrayBuffer());
    const expected = content(seed + at / piece, Math.min(piece, length - at));
    if (found.some((byte, n) => byte !== expected[n])) return false;
  }
  return true;
}
