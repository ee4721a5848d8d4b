/** A node's WebSockets by number, across hibernation. What is attached to them is the core's matter. */

import type { EdgeContext, EdgeSocket } from "./cloudflare.js";

interface Attachment {
  readonly conn: number;
  readonly state: Uint8Array;
}

const REASON_BYTES_MAX = 123;

/** A connection that outlived the instance before. */
export interface Restored {
  readonly conn: number;
  readonly state: Uint8Array;
}

/** The connections of one instance. */
export class Connections {
  readonly #ctx: EdgeContext;
  readonly #sockets = new Map<number, EdgeSocket>();
  readonly #numbers = new WeakMap<EdgeSocket, number>();
  #last = 0;

  /** None yet: call {@link restore} first. */
  constructor(ctx: EdgeContext) {
    this.#ctx = ctx;
  }

  /** Those that are still there after the object was out of memory. */
  restore(): Restored[] {
    const restored: Restored[] = [];
    for (const socket of this.#ctx.getWebSockets()) {
      const attachment = socket.deserializeAttachment() as Attachment | null;
      if (attachment === null) {
        socket.close(1011, "INTERNAL");
        continue;
      }
      this.#keep(attachment.conn, socket);
      restored.push(attachment);
    }
    return restored;
  }

  /** Takes a new connection; answers its number. */
  accept(socket: EdgeSocket): number {
    const conn = this.#last + 1;
    this.#ctx.acceptWebSocket(socket);
    this.#keep(conn, socket);
    this.attach(conn, new Uint8Array());
    return conn;
  }

  /** The number of a connection, while it is one. */
  numberOf(socket: EdgeSocket): number | undefined {
    return this.#numbers.get(socket);
  }

  /** Sends a frame. */
  send(conn: number, bytes: Uint8Array): void {
    try {
      this.#sockets.get(conn)?.send(bytes);
    } catch {
      // It is gone; its close event says so.
    }
  }

  /** Keeps the state for the next instance. */
  attach(conn: number, state: Uint8Array): void {
    const socket = this.#sockets.get(conn);
    if (socket === undefined) return;
    try {
      socket.serializeAttachment({ conn, state });
    } catch {
      // More than the platform keeps. Without a state the connection is asked to resume.
      socket.serializeAttachment({ conn, state: new Uint8Array() });
    }
  }

  /** Closes a connection. */
  close(conn: number, code: number, reason: string): void {
    const socket = this.#sockets.get(conn);
    if (socket !== undefined) this.end(socket, code, reason);
  }

  /** Closes a socket, or answers its closing, and forgets it. */
  end(socket: EdgeSocket, code: number, reason: string): void {
    const conn = this.#numbers.get(socket);
    if (conn !== undefined) this.#sockets.delete(conn);
    this.#numbers.delete(socket);
    try {
      socket.close(code, cut(reason));
    } catch {
      // It is closed already.
    }
  }

  /** Closes all of them. */
  closeAll(code: number, reason: string): void {
    for (const conn of [...this.#sockets.keys()]) this.close(conn, code, reason);
  }

  #keep(conn: number, socket: EdgeSocket): void {
    this.#last = Math.max(this.#last, conn);
    this.#sockets.set(conn, socket);
    this.#numbers.set(socket, conn);
  }
}

/** A reason that fits a close frame. */
function cut(reason: string): string {
  const bytes = new TextEncoder().encode(reason);
  if (bytes.length <= REASON_BYTES_MAX) return reason;
  return new TextDecoder().decode(bytes.subarray(0, REASON_BYTES_MAX)).replace(/\uFFFD$/, "");
}
