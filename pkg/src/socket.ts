/** One WebSocket as the driver sees it: it opens, frames come, it ends once. It knows no frame's meaning. */

import type { WebSocketClass, WebSocketLike } from "./platform/platform.js";

/** What a socket tells. */
export interface SocketEvents {
  opened(): void;
  frame(bytes: Uint8Array): void;
  /** The answer to a ping; the node's platform gives it without waking the node. */
  pong(): void;
  /** It is closed, or never opened. Said once, and not after {@link Socket.close}. */
  ended(): void;
}

/** A socket. */
export class Socket {
  readonly #socket: WebSocketLike | undefined;
  #isOver = false;

  /** Begins to connect. */
  constructor(WebSocket: WebSocketClass, url: string, events: SocketEvents) {
    const end = () => {
      if (this.#isOver) return;
      this.#isOver = true;
      events.ended();
    };
    try {
      this.#socket = new WebSocket(url);
    } catch {
      // Refused by a content security policy, for one: the same as a server that does not answer.
      queueMicrotask(end);
      return;
    }
    const socket = this.#socket;
    socket.binaryType = "arraybuffer";
    socket.addEventListener("open", () => this.#isOver || events.opened());
    socket.addEventListener("close", end);
    // A close follows everywhere but in workerd.
    socket.addEventListener("error", end);
    socket.addEventListener("message", ({ data }) => {
      if (this.#isOver) return;
      if (data instanceof ArrayBuffer) events.frame(new Uint8Array(data));
      else if (data === "pong") events.pong();
    });
  }

  /** Sends a frame. One that cannot go any more is lost with the socket, and the core knows how to resume. */
  send(bytes: Uint8Array<ArrayBuffer>): void {
    this.#send(bytes);
  }

  /** Asks for a pong. */
  ping(): void {
    this.#send("ping");
  }

  /** Ends it from this side. */
  close(): void {
    this.#isOver = true;
    try {
      this.#socket?.close();
    } catch {
      // It was over already.
    }
  }

  #send(data: string | Uint8Array<ArrayBuffer>): void {
    if (this.#isOver) return;
    try {
      this.#socket?.send(data);
    } catch {
      // The end of the socket is told by its event.
    }
  }
}
