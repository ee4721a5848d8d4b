/**
 * One attempt to connect two members by WebRTC: offer, answer, candidates, and a data channel that opens or does not. It
 * knows nothing of other attempts, and repeats nothing.
 */

import { HeadwaterError, toHeadwaterError } from "../errors.js";
import type { Said } from "./signal.js";

/** How long an attempt may take. */
const CONNECT_MS_MAX = 15_000;
/** How long a channel may take to close: what was sent last leaves before. */
const CLOSE_MS_MAX = 4_000;
/** Candidates that are kept until the description has come to which they belong. */
const CANDIDATES_MAX = 64;

/** What an attempt works with. */
export interface RtcParts {
  readonly RTCPeerConnection: typeof RTCPeerConnection;
  readonly configuration: RTCConfiguration | undefined;
  readonly session: string;
  readonly isOfferer: boolean;
  send(said: Said): void;
  /** The channel is open. It is a peer's from then on. */
  opened(channel: RTCDataChannel): void;
  /** It has failed, or broken down. Said once, and not after {@link RtcLink.close}. */
  failed(error: HeadwaterError): void;
}

/** An attempt, and the connection that comes of it. */
export class RtcLink {
  readonly #parts: RtcParts;
  readonly #connection: RTCPeerConnection;
  readonly #channel: RTCDataChannel;
  readonly #early: RTCIceCandidateInit[] = [];
  readonly #timer: ReturnType<typeof setTimeout>;
  // One step after the other: a candidate waits for the description before it.
  #work: Promise<void> = Promise.resolve();
  #isOver = false;
  #isTaken = false;

  /** Begins to connect. Throws if the browser takes no such configuration. */
  constructor(parts: RtcParts) {
    this.#parts = parts;
    const connection = new parts.RTCPeerConnection(parts.configuration);
    this.#connection = connection;
    // Both sides know it by its number, so none has to wait for the other's.
    this.#channel = connection.createDataChannel("headwater", { negotiated: true, id: 0, ordered: true });
    this.#channel.binaryType = "arraybuffer";
    this.#timer = setTimeout(() => this.#fail(`no connection within ${CONNECT_MS_MAX} ms`), CONNECT_MS_MAX);
    this.#channel.addEventListener("open", () => {
      if (this.#isOver) return;
      clearTimeout(this.#timer);
      this.#isTaken = true;
      parts.opened(this.#channel);
    });
    this.#channel.addEventListener("close", () => this.#fail("the data channel was closed"));
    connection.addEventListener("connectionstatechange", () => {
      const { connectionState } = connection;
      if (connectionState === "failed" || connectionState === "closed") this.#fail(`the connection is ${connectionState}`);
    });
    connection.addEventListener("icecandidate", ({ candidate }) => {
      if (candidate === null || this.#isOver) return;
      parts.send({ kind: "candidate", session: parts.session, candidate: candidate.toJSON() });
    });
    if (parts.isOfferer) this.#do(() => this.#describe("offer"));
  }

  /** The number of this attempt. */
  get session(): string {
    return this.#parts.session;
  }

  /** Takes what the other side says of this attempt. */
  take(said: Said): void {
    switch (said.kind) {
      case "offer":
      case "answer":
        return this.#do(async () => {
          await this.#connection.setRemoteDescription({ type: said.kind, sdp: said.sdp });
          for (const candidate of this.#early.splice(0)) await this.#connection.addIceCandidate(candidate);
          if (said.kind === "offer") await this.#describe("answer");
        });
      case "candidate":
        return this.#do(async () => {
          if (this.#connection.remoteDescription !== null) await this.#connection.addIceCandidate(said.candidate);
          else if (this.#early.length < CANDIDATES_MAX) this.#early.push(said.candidate);
        });
    }
  }

  /** Ends it. A channel that is a peer's is closed by that peer, and the connection after it. */
  close(): void {
    if (this.#isOver) return;
    this.#isOver = true;
    clearTimeout(this.#timer);
    const [connection, channel] = [this.#connection, this.#channel];
    if (!this.#isTaken || channel.readyState === "closed") return connection.close();
    const timer = setTimeout(() => connection.close(), CLOSE_MS_MAX);
    channel.addEventListener("close", () => {
      clearTimeout(timer);
      connection.close();
    });
  }

  async #describe(kind: "offer" | "answer"): Promise<void> {
    await this.#connection.setLocalDescription();
    const { sdp } = this.#connection.localDescription ?? {};
    if (sdp !== undefined && !this.#isOver) this.#parts.send({ kind, session: this.#parts.session, sdp });
  }

  #do(step: () => Promise<void>): void {
    this.#work = this.#work.then(async () => {
      if (this.#isOver) return;
      try {
        await step();
      } catch (error) {
        this.#fail("the browser takes it not", error);
      }
    });
  }

  #fail(why: string, cause?: unknown): void {
    if (this.#isOver) return;
    this.close();
    const context = `a peer could not be connected by WebRTC: ${why}`;
    this.#parts.failed(cause === undefined ? new HeadwaterError("OFFLINE", context) : toHeadwaterError(cause, "OFFLINE", context));
  }
}
