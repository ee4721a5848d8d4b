/**
 * One port as the driver sees it: it opens, frames come and go whole, it ends once. Whatever comes from the other side,
 * nothing is thrown into the page: what cannot be used ends the port, with an error that says why.
 */

import { HeadwaterError, malformed, toHeadwaterError } from "../errors.js";
import { type Carrier, carrierOf } from "./carrier.js";
import { cut, goodbye, Joiner } from "./pieces.js";

/** What a port tells. Neither is called before its constructor has ended. */
export interface PortEvents {
  /** Frames can go. */
  opened(): void;
  frame(bytes: Uint8Array): void;
  /** It is over: `null` after a goodbye. Said once, and not after {@link Port.close}. */
  ended(error: HeadwaterError | null): void;
}

/** What waits to be sent to one peer. Above it the peer is too slow to be of use, and let go. */
const QUEUE_BYTES_MAX = 64 << 20;
/** With so many bytes at the port nothing more is handed to it. */
const BUFFERED_BYTES_HIGH = 1 << 20;
/** What was sent before a close has so long to leave. */
const CLOSE_MS_MAX = 2_000;

/** A port. */
export class Port {
  readonly #carrier: Carrier;
  readonly #events: PortEvents;
  readonly #joiner = new Joiner();
  readonly #queue: Uint8Array[] = [];
  #queuedBytes = 0;
  /** The rest of the frame that is being sent. */
  #pieces: Iterator<Uint8Array<ArrayBuffer>> | undefined;
  #state: "connecting" | "open" | "closing" | "over" = "connecting";
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Takes the port over. Throws `MALFORMED` if it is none. */
  constructor(port: unknown, events: PortEvents) {
    this.#events = events;
    this.#carrier = carrierOf(port, {
      opened: () => this.#open(),
      message: (data) => this.#message(data),
      drained: () => this.#pump(),
      closed: () => this.#end(lost()),
    });
    const { state } = this.#carrier;
    if (state === "open") queueMicrotask(() => this.#open());
    if (state === "closed") queueMicrotask(() => this.#end(lost()));
  }

  /** Sends a frame. One that cannot go any more is lost with the port. */
  send(frame: Uint8Array): void {
    if (this.#state !== "open") return;
    this.#queue.push(frame);
    this.#queuedBytes += frame.length;
    this.#pump();
    if (this.#queuedBytes > QUEUE_BYTES_MAX) {
      this.#end(new HeadwaterError("BUSY", `the peer takes in too little: more than ${QUEUE_BYTES_MAX} bytes wait for it`));
    }
  }

  /** Ends it from this side: what was sent goes out, then a goodbye. */
  close(): void {
    if (this.#state === "over" || this.#state === "closing") return;
    const wasOpen = this.#state === "open";
    this.#state = "closing";
    if (!wasOpen) return this.#finish();
    this.#timer = setTimeout(() => this.#finish(), CLOSE_MS_MAX);
    this.#queue.push(goodbye());
    this.#pump();
  }

  #open(): void {
    if (this.#state !== "connecting") return;
    this.#state = "open";
    this.#events.opened();
  }

  #message(data: unknown): void {
    // Browsers may deliver a message before they say that the channel is open.
    this.#open();
    if (this.#state !== "open") return;
    let frame: Uint8Array | null | undefined;
    try {
      frame = this.#joiner.take(bytesOf(data));
    } catch (error) {
      return this.#end(toHeadwaterError(error, "INTERNAL", "a message of a peer could not be read"));
    }
    if (frame === null) this.#end(null);
    else if (frame !== undefined) this.#events.frame(frame);
  }

  #pump(): void {
    if (this.#state !== "open" && this.#state !== "closing") return;
    try {
      for (;;) {
        if (this.#carrier.bufferedBytes > BUFFERED_BYTES_HIGH) return this.#carrier.awaitDrained();
        const message = this.#next();
        if (message === undefined) break;
        this.#carrier.send(message);
      }
    } catch (error) {
      return this.#end(toHeadwaterError(error, "OFFLINE", "the port does not take what is sent"));
    }
    if (this.#state === "closing") this.#finish();
  }

  #next(): Uint8Array<ArrayBuffer> | undefined {
    for (;;) {
      const piece = this.#pieces?.next();
      if (piece !== undefined && piece.done !== true) return piece.value;
      const frame = this.#queue.shift();
      if (frame === undefined) return undefined;
      // A goodbye is a message as it is, and the last one.
      if (this.#state === "closing" && this.#queue.length === 0) return frame as Uint8Array<ArrayBuffer>;
      this.#queuedBytes -= frame.length;
      this.#pieces = cut(frame, this.#carrier.messageBytesMax);
    }
  }

  #end(error: HeadwaterError | null): void {
    if (this.#state === "over") return;
    const isOurs = this.#state === "closing";
    this.#finish();
    if (!isOurs) this.#events.ended(error);
  }

  #finish(): void {
    this.#state = "over";
    clearTimeout(this.#timer);
    this.#queue.length = 0;
    this.#pieces = undefined;
    try {
      this.#carrier.close();
    } catch {
      // It was over already.
    }
  }
}

function bytesOf(data: unknown): Uint8Array {
  // By its name: a port of another frame of the page brings buffers of that frame.
  if (Object.prototype.toString.call(data) === "[object ArrayBuffer]") return new Uint8Array(data as ArrayBuffer);
  if (ArrayBuffer.isView(data)) return new Uint8Array(data.buffer, data.byteOffset, data.byteLength);
  const what = typeof data === "object" ? "an object" : `a ${typeof data}`;
  throw malformed(`a peer sent ${what}, and no bytes; is there another Headwater database at the other end?`);
}

function lost(): HeadwaterError {
  return new HeadwaterError("OFFLINE", "the port to the peer was closed without a goodbye");
}
