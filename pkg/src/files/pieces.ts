/** Content of any kind in pieces of one length, never more of it in memory than a piece or two. */

import { malformed } from "../errors.js";

/** What can be put. */
export type Content = Blob | Uint8Array | ArrayBuffer | ReadableStream<Uint8Array>;

/** The pieces, the last one shorter, and the length of it all where that is known. */
export function pieces(
  content: Content,
  length: number,
): [parts: AsyncIterable<Uint8Array<ArrayBuffer>>, total: number | null] {
  if (content instanceof ReadableStream) return [streamed(content, length), null];
  if (content instanceof Blob) return [sliced(content, length), content.size];
  if (content instanceof Uint8Array || content instanceof ArrayBuffer) {
    const blob = new Blob([content as ArrayBuffer]);
    return [sliced(blob, length), blob.size];
  }
  throw malformed("a file is put as a Blob, a Uint8Array, an ArrayBuffer or a ReadableStream of bytes");
}

async function* sliced(blob: Blob, length: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  for (let at = 0; at < blob.size; at += length) {
    yield new Uint8Array(await blob.slice(at, at + length).arrayBuffer());
  }
}

async function* streamed(stream: ReadableStream<Uint8Array>, length: number): AsyncGenerator<Uint8Array<ArrayBuffer>> {
  const reader = stream.getReader();
  let piece = new Uint8Array(length);
  let filled = 0;
  try {
    for (let part = await reader.read(); part.done !== true; part = await reader.read()) {
      if (!(part.value instanceof Uint8Array)) throw malformed("the stream has something else than bytes");
      for (let rest = part.value; rest.length > 0; ) {
        const taken = rest.subarray(0, length - filled);
        piece.set(taken, filled);
        filled += taken.length;
        rest = rest.subarray(taken.length);
        if (filled < length) continue;
        yield piece;
        piece = new Uint8Array(length);
        filled = 0;
      }
    }
    if (filled > 0) yield piece.slice(0, filled);
  } finally {
    // Whoever stops early lets go of the source, too.
    reader.cancel().catch(() => undefined);
  }
}
