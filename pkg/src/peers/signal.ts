/**
 * What members of a mesh say to each other before they are connected, as text, and what carries it. Each message names its
 * sender and, unless it is for all, its receiver: whatever carries it may bring it to more than those, late, or not at all.
 */

import type { Engine } from "../engine.js";

/** The longest signal that is sent and read, in bytes of UTF-8. */
export const SIGNAL_BYTES_MAX = 64 << 10;

/** What carries signals between the members of a mesh, where the application brings it. */
export interface Signal {
  /**
   * Sends a message to the member whose {@link Mesh.id} is `to`, or to all others without it. Bringing every message to
   * everybody will do, and so will losing some: members repeat themselves.
   */
  send(message: string, to?: string): void;
  /** Set by `joinPeers`: to be called with each message that has come from others. Anything that is none is passed over. */
  onmessage: ((message: string | Uint8Array) => void) | null;
}

/** What is said. Sessions tell the attempts of two members to connect apart. */
export type Said =
  /** I am here: to all, or as an answer. */
  | { readonly kind: "here" }
  /** I leave. */
  | { readonly kind: "gone" }
  /** That session has ended here: offer another one. */
  | { readonly kind: "again"; readonly session: string }
  | { readonly kind: "offer" | "answer"; readonly session: string; readonly sdp: string }
  | { readonly kind: "candidate"; readonly session: string; readonly candidate: object };

/** A message with its addresses. */
export type SignalMessage = Said & { readonly from: string; readonly to?: string | undefined };

const KINDS = ["here", "gone", "again", "offer", "answer", "candidate"];
const ID = /^[0-9a-f]{16}$/;

/** Signals of one database. */
export interface SignalCarrier {
  /** `via` is what came with the last message of that member. */
  send(message: SignalMessage, via: bigint | undefined): void;
  close(): void;
}

/** Who gets them. */
export interface SignalEvents {
  message(message: SignalMessage, via: bigint | undefined): void;
  /** Nothing that was said before has reached anybody, most likely: everything is to be said anew. */
  connected(): void;
}

/** Carries signals as the application wants it. */
export function ownSignal(database: string, signal: Signal, events: SignalEvents): SignalCarrier {
  signal.onmessage = (data) => {
    const message = decode(database, data);
    if (message !== undefined) events.message(message, undefined);
  };
  return {
    send: (message) => signal.send(encode(database, message), message.to),
    close: () => {
      signal.onmessage = null;
    },
  };
}

/** Has the node relay them to which the database is connected. */
export function leaderSignal(database: string, engine: Engine, events: SignalEvents): SignalCarrier {
  const isLive = () => engine.death === undefined && engine.status().phase === "live";
  let wasLive = isLive();
  const offs = [
    engine.emitter.on("signalled", ({ from, bytes }) => {
      const message = decode(database, bytes);
      if (message !== undefined) events.message(message, from);
    }),
    engine.emitter.on("changed", () => {
      const isLiveNow = isLive();
      if (isLiveNow && !wasLive) events.connected();
      wasLive = isLiveNow;
    }),
  ];
  return {
    // The node knows connections by their origin, and tabs share one: what came from a member says by which.
    send: (message, via = 0n) => {
      const bytes = new TextEncoder().encode(encode(database, message));
      engine.driver.tell((replica, now) => replica.signal(via, bytes, now));
    },
    close: () => {
      for (const off of offs) off();
    },
  };
}

function encode(database: string, message: SignalMessage): string {
  return JSON.stringify({ headwater: 1, database, ...message });
}

/** A message of this database, or nothing. */
function decode(database: string, data: unknown): SignalMessage | undefined {
  try {
    const text = typeof data === "string" ? data : new TextDecoder("utf-8", { fatal: true }).decode(data as Uint8Array);
    if (text.length > SIGNAL_BYTES_MAX) return undefined;
    const message = JSON.parse(text) as Record<string, unknown> | null;
    return message?.headwater === 1 && message.database === database && isMessage(message) ? message : undefined;
  } catch {
    return undefined;
  }
}

function isMessage(message: Record<string, unknown>): message is SignalMessage & Record<string, unknown> {
  const { kind, from, to, session, sdp, candidate } = message;
  if (!KINDS.includes(kind as string) || !isId(from) || (to !== undefined && !isId(to))) return false;
  if (kind === "here" || kind === "gone") return true;
  if (to === undefined || !isId(session)) return false;
  if (kind === "again") return true;
  return kind === "candidate" ? typeof candidate === "object" && candidate !== null : typeof sdp === "string";
}

function isId(value: unknown): boolean {
  return typeof value === "string" && ID.test(value);
}
