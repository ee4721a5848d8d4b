/** What messages travel on, all alike: a `MessagePort`, an `RTCDataChannel` or a `WebSocket`. It knows no frames. */

import { malformed } from "../errors.js";

/** As much of a `MessagePort` as is used. */
export interface MessagePortLike {
  postMessage(message: unknown, transfer: ArrayBuffer[]): void;
  start(): void;
  close(): void;
  addEventListener(type: string, listener: (event: never) => void): void;
  removeEventListener(type: string, listener: (event: never) => void): void;
}

/** As much of an `RTCDataChannel` or a `WebSocket` as is used. */
export interface ChannelLike {
  binaryType: string;
  readonly readyState: string | number;
  readonly bufferedAmount: number;
  send(data: Uint8Array<ArrayBuffer>): void;
  close(): void;
  addEventListener(type: string, listener: (event: never) => void): void;
  removeEventListener(type: string, listener: (event: never) => void): void;
}

/**
 * What connects two replicas: a `MessagePort`, an `RTCDataChannel` (ordered and reliable, as they are by default) or a
 * `WebSocket` to another replica. It may be still connecting. From then on it belongs to the database.
 */
export type PeerPort = MessagePortLike | ChannelLike;

/** What a carrier tells. */
export interface CarrierEvents {
  opened(): void;
  message(data: unknown): void;
  /** There is room again. */
  drained(): void;
  /** It is closed, by the other side or by itself. */
  closed(): void;
}

/** One of the three. */
export interface Carrier {
  /** Whether it can send now, and if not, whether it may later. */
  readonly state: "connecting" | "open" | "closed";
  /** The largest message that it takes for certain. */
  readonly messageBytesMax: number;
  /** Bytes handed over and not on their way yet. */
  readonly bufferedBytes: number;
  /** Calls `drained` once `bufferedBytes` is low. */
  awaitDrained(): void;
  send(message: Uint8Array<ArrayBuffer>): void;
  /** Stops to listen, and closes it. What was sent still goes out. */
  close(): void;
}

/** Below so many bytes there is room again. */
export const BUFFERED_BYTES_LOW = 256 << 10;

/**
 * Every implementation takes so much on a data channel. What a connection takes beyond is known to the connection alone,
 * and a channel does not name its connection.
 */
const CHANNEL_MESSAGE_BYTES_MAX = 16 << 10;
/** Servers between two WebSockets have limits of their own, mostly 1 MiB. */
const SOCKET_MESSAGE_BYTES_MAX = 256 << 10;
/** A WebSocket has no event that says that its buffer is low. */
const SOCKET_POLL_MS = 20;

/** Takes a port over. */
export function carrierOf(port: unknown, events: CarrierEvents): Carrier {
  const found = (typeof port === "object" && port !== null ? port : {}) as Record<string, unknown>;
  const has = (name: string) => typeof found[name] === "function";
  // A BroadcastChannel has no `start`, and more than one other end.
  if (has("postMessage") && has("start") && has("close") && has("addEventListener")) {
    return new PortCarrier(port as MessagePortLike, events);
  }
  const isChannel = typeof found.readyState === "string" || typeof found.readyState === "number";
  if (has("send") && has("close") && has("addEventListener") && isChannel) {
    return new ChannelCarrier(port as ChannelLike, events);
  }
  throw malformed("a peer is connected by a MessagePort, an RTCDataChannel or a WebSocket; this is none of them");
}

/** Listeners that can be taken off together. */
class Listeners {
  readonly #target: Pick<ChannelLike, "addEventListener" | "removeEventListener">;
  readonly #all: [string, (event: never) => void][] = [];

  constructor(target: Pick<ChannelLike, "addEventListener" | "removeEventListener">) {
    this.#target = target;
  }

  on(type: string, listener: (event: never) => void): void {
    this.#all.push([type, listener]);
    this.#target.addEventListener(type, listener);
  }

  off(): void {
    for (const [type, listener] of this.#all.splice(0)) this.#target.removeEventListener?.(type, listener);
  }
}

class PortCarrier implements Carrier {
  readonly messageBytesMax = Infinity;
  readonly bufferedBytes = 0;
  readonly #port: MessagePortLike;
  readonly #listeners: Listeners;
  #isClosed = false;

  constructor(port: MessagePortLike, events: CarrierEvents) {
    this.#port = port;
    this.#listeners = new Listeners(port);
    this.#listeners.on("message", ({ data }: { data: unknown }) => events.message(data));
    this.#listeners.on("messageerror", () => events.message(undefined));
    // Not in every browser: where it is missing, goodbyes and the core's own watch have to do.
    this.#listeners.on("close", () => {
      this.#isClosed = true;
      events.closed();
    });
    port.start();
  }

  get state(): "open" | "closed" {
    return this.#isClosed ? "closed" : "open";
  }

  awaitDrained(): void {}

  send(message: Uint8Array<ArrayBuffer>): void {
    this.#port.postMessage(message, [message.buffer]);
  }

  close(): void {
    this.#isClosed = true;
    this.#listeners.off();
    this.#port.close();
  }
}

class ChannelCarrier implements Carrier {
  readonly messageBytesMax: number;
  readonly #channel: ChannelLike;
  readonly #listeners: Listeners;
  readonly #events: CarrierEvents;
  readonly #isRtc: boolean;
  #timer: ReturnType<typeof setTimeout> | undefined;

  constructor(channel: ChannelLike, events: CarrierEvents) {
    this.#channel = channel;
    this.#events = events;
    // Data channels say their state in words, WebSockets in numbers.
    this.#isRtc = typeof channel.readyState === "string";
    this.messageBytesMax = this.#isRtc ? CHANNEL_MESSAGE_BYTES_MAX : SOCKET_MESSAGE_BYTES_MAX;
    channel.binaryType = "arraybuffer";
    this.#listeners = new Listeners(channel);
    this.#listeners.on("open", () => events.opened());
    this.#listeners.on("message", ({ data }: { data: unknown }) => events.message(data));
    this.#listeners.on("close", () => events.closed());
    this.#listeners.on("error", () => this.state === "closed" && events.closed());
    if (this.#isRtc) {
      Object.assign(channel, { bufferedAmountLowThreshold: BUFFERED_BYTES_LOW });
      this.#listeners.on("bufferedamountlow", () => events.drained());
    }
  }

  get state(): "connecting" | "open" | "closed" {
    const { readyState } = this.#channel;
    if (readyState === "connecting" || readyState === 0) return "connecting";
    return readyState === "open" || readyState === 1 ? "open" : "closed";
  }

  get bufferedBytes(): number {
    // Not in workerd.
    return this.#channel.bufferedAmount ?? 0;
  }

  awaitDrained(): void {
    if (this.#isRtc) return;
    this.#timer ??= setTimeout(() => {
      this.#timer = undefined;
      if (this.bufferedBytes <= BUFFERED_BYTES_LOW || this.state === "closed") this.#events.drained();
      else this.awaitDrained();
    }, SOCKET_POLL_MS);
  }

  send(message: Uint8Array<ArrayBuffer>): void {
    this.#channel.send(message);
  }

  close(): void {
    clearTimeout(this.#timer);
    this.#listeners.off();
    this.#channel.close();
  }
}
