/** Counts WebSocket data frames in a stream of bytes (RFC 6455 §5.2). It follows the framing and reads no content. */

const END_OF_HEAD = Buffer.from("\r\n\r\n");
const CONTROL = 0x08;

/** One direction of one connection. */
export class FrameCounter {
  #isHead = true;
  #rest = Buffer.alloc(0);
  /** Bytes of the current frame that are still to come. */
  #skip = 0;

  /** Takes bytes in; answers how many messages ended their headers in them. @param {Buffer} bytes */
  take(bytes) {
    let count = 0;
    this.#rest = this.#rest.length === 0 ? bytes : Buffer.concat([this.#rest, bytes]);
    if (this.#isHead && !this.#passHead()) return 0;
    for (;;) {
      const skipped = Math.min(this.#skip, this.#rest.length);
      this.#skip -= skipped;
      this.#rest = this.#rest.subarray(skipped);
      if (this.#skip > 0) return count;
      const header = headerOf(this.#rest);
      if (header === undefined) return count;
      this.#skip = header.length;
      if (header.isMessage) count += 1;
    }
  }

  #passHead() {
    const end = this.#rest.indexOf(END_OF_HEAD);
    if (end < 0) return false;
    this.#isHead = false;
    this.#rest = this.#rest.subarray(end + END_OF_HEAD.length);
    return true;
  }
}

/** The frame at the front: its whole length, and whether a message begins with it. @param {Buffer} bytes */
function headerOf(bytes) {
  if (bytes.length < 2) return undefined;
  const [first, second] = /** @type {[number, number]} */ ([bytes[0], bytes[1]]);
  const short = second & 0x7f;
  const extra = short === 127 ? 8 : short === 126 ? 2 : 0;
  const head = 2 + extra + (second & 0x80 ? 4 : 0);
  if (bytes.length < 2 + extra) return undefined;
  const payload = extra === 8 ? Number(bytes.readBigUInt64BE(2)) : extra === 2 ? bytes.readUInt16BE(2) : short;
  const opcode = first & 0x0f;
  return { length: head + payload, isMessage: opcode !== 0 && opcode < CONTROL };
}
