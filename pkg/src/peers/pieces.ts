/**
 * Frames as messages of a bounded size: cut on one side, put together on the other. The first byte of each message says
 * whether the frame goes on, or that its sender takes its leave. It knows nothing of what frames mean.
 */

import { HeadwaterError, malformed } from "../errors.js";

/** The largest frame that is put together. Frames of the core stay below it. */
export const PEER_FRAME_BYTES_MAX = 4 << 20;

const MORE = 0;
const LAST = 1;
const GOODBYE = 2;

/** The message after which nothing more comes from its sender. */
export function goodbye(): Uint8Array<ArrayBuffer> {
  return Uint8Array.of(GOODBYE);
}

/** The messages of a frame, none of them above `bytesMax`. */
export function* cut(frame: Uint8Array, bytesMax: number): Generator<Uint8Array<ArrayBuffer>> {
  const room = bytesMax - 1;
  for (let at = 0; ; at += room) {
    const part = frame.subarray(at, at + room);
    const isLast = at + room >= frame.length;
    const message = new Uint8Array(part.length + 1);
    message[0] = isLast ? LAST : MORE;
    message.set(part, 1);
    yield message;
    if (isLast) return;
  }
}

/** Puts the frames of one sender together. */
export class Joiner {
  // One buffer that doubles: a frame in very many pieces weighs no more than its bytes.
  #begun = new Uint8Array(0);
  #length = 0;

  /** Takes a message; answers a frame once it is whole, `null` for a goodbye. Throws what is wrong with the message. */
  take(message: Uint8Array): Uint8Array | null | undefined {
    const head = message[0];
    const part = message.subarray(1);
    if (head === GOODBYE && part.length === 0) return null;
    if ((head !== MORE && head !== LAST) || part.length === 0) {
      throw malformed("what came is no piece of a frame; is there another Headwater database at the other end?");
    }
    if (this.#length + part.length > PEER_FRAME_BYTES_MAX) {
      throw new HeadwaterError("TOO_LARGE", `a frame of a peer is above ${PEER_FRAME_BYTES_MAX} bytes`);
    }
    if (head === LAST && this.#length === 0) return part;
    this.#add(part);
    if (head === MORE) return undefined;
    const frame = this.#begun.subarray(0, this.#length);
    this.#begun = new Uint8Array(0);
    this.#length = 0;
    return frame;
  }

  #add(part: Uint8Array): void {
    const length = this.#length + part.length;
    if (length > this.#begun.length) {
      const larger = new Uint8Array(Math.max(length, 2 * this.#begun.length));
      larger.set(this.#begun.subarray(0, this.#length));
      this.#begun = larger;
    }
    this.#begun.set(part, this.#length);
    this.#length = length;
  }
}
