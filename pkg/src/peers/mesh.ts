/**
 * A full mesh of data channels among those who share a database: who is there, who connects to whom, and when to try again.
 * Of two members the one with the lower id offers. What goes through a channel is a peer like any other.
 */

import { Emitter } from "../emitter.js";
import type { Engine } from "../engine.js";
import { type ErrorCode, HeadwaterError, malformed, toHeadwaterError } from "../errors.js";
import { known } from "../options.js";
import { checkPeer, type PeerOptions } from "./options.js";
import type { Peer } from "./peer.js";
import { RtcLink } from "./rtc.js";
import { leaderSignal, ownSignal, type Said, type Signal, type SignalCarrier, type SignalMessage } from "./signal.js";

/** The most members that one member connects to. Those beyond are reached by way of others. */
export const MESH_MEMBERS_MAX = 32;

/** What `joinPeers` takes. */
export interface JoinPeersOptions extends PeerOptions {
  /** What carries signals. Without it the node relays them that the database is connected to: it needs a `url` then. */
  readonly signal?: Signal | undefined;
  /** What connections are made with: STUN and TURN servers, for one. Without any, peers have to be in one network. */
  readonly rtc?: RTCConfiguration | undefined;
  /** The class of connections, where the host has none of its own. */
  readonly RTCPeerConnection?: typeof RTCPeerConnection | undefined;
}

/** Something that went wrong with one member. */
export interface MeshError {
  /** Which member, by its {@link Mesh.id}. */
  readonly id: string;
  /** What went wrong. */
  readonly error: HeadwaterError;
  /** Whether it is tried again. */
  readonly isFinal: boolean;
}

/** What a mesh tells. */
export interface MeshEvents {
  /** A member could not be connected, or its connection was lost. */
  error: MeshError;
  /** A member's channel is open: this is what `connectPeer` answers for it. */
  peer: Peer;
}

/** When the presence of a member is said again after it was said first. Then it is left to others to say that they are there. */
const REPEAT_MS = [1_000, 4_000, 15_000];
/** The delays between attempts double from the first to the last. */
const RETRY_MS_MIN = 500;
const RETRY_MS_MAX = 30_000;
/** After so many failed attempts one after the other a member counts as gone. */
const ATTEMPTS_MAX = 8;

/** Errors that another attempt may not meet. */
const PASSING: readonly ErrorCode[] = ["OFFLINE", "TIMEOUT", "BUSY", "RESUME", "INTERNAL", "POISONED"];

interface Member {
  readonly id: string;
  /** By what it is reached, where a node relays. */
  via: bigint | undefined;
  link: RtcLink | undefined;
  peer: Peer | undefined;
  attempts: number;
  retry: ReturnType<typeof setTimeout> | undefined;
  /** Why it is not connected to any more. */
  refusal: HeadwaterError | undefined;
}

/** What a mesh is made of. */
export interface MeshParts {
  readonly database: string;
  readonly engine: Engine;
  readonly hasLeader: boolean;
}

/** A mesh: `db.joinPeers()` makes one. */
export class Mesh {
  /** This member: the opening of this database, in 16 hexadecimal digits. */
  readonly id: string;
  readonly #engine: Engine;
  readonly #options: JoinPeersOptions;
  readonly #RTCPeerConnection: typeof RTCPeerConnection;
  readonly #carrier: SignalCarrier;
  readonly #members = new Map<string, Member>();
  readonly #emitter = new Emitter<MeshEvents>();
  readonly #offs: readonly (() => void)[];
  #repeat: ReturnType<typeof setTimeout> | undefined;
  #isClosed = false;

  /** Made by the package. */
  constructor({ database, engine, hasLeader }: MeshParts, options: JoinPeersOptions) {
    checkJoin(options, hasLeader);
    const host = globalThis as { RTCPeerConnection?: typeof RTCPeerConnection };
    const Class = options.RTCPeerConnection ?? host.RTCPeerConnection;
    if (Class === undefined) throw malformed("this host has no RTCPeerConnection; pass a class of your own");
    this.#RTCPeerConnection = Class;
    this.#engine = engine;
    this.#options = options;
    this.id = engine.origin.toString(16).padStart(16, "0");
    const events = {
      message: (message: SignalMessage, via: bigint | undefined) => this.#message(message, via),
      connected: () => this.announce(),
    };
    const { signal } = options;
    this.#carrier =
      signal === undefined ? leaderSignal(database, engine, events) : ownSignal(database, signal, events);
    // Whoever was away for long counts as gone with the others, and they with it.
    this.#offs = [engine.emitter.on("ended", () => this.close()), engine.emitter.on("woke", () => this.announce())];
    this.announce();
  }

  /** The ids of the members that are connected now. */
  get members(): string[] {
    return [...this.#members.values()].filter(({ peer }) => peer !== undefined).map(({ id }) => id);
  }

  /** Whether it was closed. */
  get isClosed(): boolean {
    return this.#isClosed;
  }

  /**
   * Says to all that this member is there. It is said by itself on joining, whenever the leader is connected, and when the
   * network or the page is back; an application that carries signals calls it when its way of carrying them is open again.
   */
  announce(): void {
    if (this.#isClosed) return;
    this.#announce(0);
  }

  /** Adds a listener; answers how to remove it. */
  on<Name extends keyof MeshEvents>(name: Name, listener: (event: MeshEvents[Name]) => void): () => void {
    return this.#emitter.on(name, listener);
  }

  /** Leaves: tells the others, and closes the connections to them. */
  close(): void {
    if (this.#isClosed) return;
    this.#send({ kind: "gone" });
    this.#isClosed = true;
    clearTimeout(this.#repeat);
    for (const off of this.#offs) off();
    this.#carrier.close();
    for (const member of [...this.#members.values()]) this.#forget(member);
  }

  #announce(time: number): void {
    clearTimeout(this.#repeat);
    this.#send({ kind: "here" });
    const delay = REPEAT_MS[time];
    if (delay !== undefined) this.#repeat = setTimeout(() => this.#announce(time + 1), delay);
  }

  #message(message: SignalMessage, via: bigint | undefined): void {
    if (this.#isClosed || message.from === this.id) return;
    if (message.to !== undefined && message.to !== this.id) return;
    if (message.kind === "gone") {
      const member = this.#members.get(message.from);
      // Its own goodbye may be on its way, or be lost.
      if (member !== undefined) this.#forget(member);
      return;
    }
    const member = this.#member(message.from);
    if (member === undefined || member.refusal !== undefined) return;
    member.via = via;
    switch (message.kind) {
      case "here":
        return this.#met(member, message.to === undefined);
      case "again":
        if (!this.#offersTo(member) || (member.link ?? message).session !== message.session) return;
        return this.#open(member, randomId());
      case "offer":
        if (!this.#offersTo(member) && member.link?.session !== message.session) this.#open(member, message.session);
        if (member.link?.session === message.session) member.link.take(message);
        return;
      default:
        if (member.link?.session === message.session) member.link.take(message);
    }
  }

  /** Somebody is there. */
  #met(member: Member, isToAll: boolean): void {
    if (this.#offersTo(member)) {
      if (member.link === undefined) {
        member.attempts = 0;
        this.#open(member, randomId());
      }
    } else if (isToAll && member.link === undefined) this.#send({ kind: "here" }, member);
  }

  #member(id: string): Member | undefined {
    const found = this.#members.get(id);
    if (found !== undefined) return found;
    if (this.#members.size >= MESH_MEMBERS_MAX) return undefined;
    const member: Member = {
      id,
      via: undefined,
      link: undefined,
      peer: undefined,
      attempts: 0,
      retry: undefined,
      refusal: undefined,
    };
    this.#members.set(id, member);
    return member;
  }

  #offersTo(member: Member): boolean {
    return this.id < member.id;
  }

  /** Begins an attempt. */
  #open(member: Member, session: string): void {
    clearTimeout(member.retry);
    this.#drop(member);
    member.attempts += 1;
    let link: RtcLink;
    try {
      link = new RtcLink({
        RTCPeerConnection: this.#RTCPeerConnection,
        configuration: this.#options.rtc,
        session,
        isOfferer: this.#offersTo(member),
        send: (said) => this.#send(said, member),
        opened: (channel) => this.#opened(member, link, channel),
        failed: (error) => this.#failed(member, link, error),
      });
    } catch (error) {
      return this.#refuse(member, toHeadwaterError(error, "MALFORMED", "a connection could not be made"));
    }
    member.link = link;
  }

  #opened(member: Member, link: RtcLink, channel: RTCDataChannel): void {
    if (member.link !== link) return;
    const { token, authorize } = this.#options;
    let peer: Peer;
    try {
      peer = this.#engine.peers.connect(channel, { token, authorize });
    } catch (error) {
      // The database is closed, or dead: the mesh ends with it.
      return this.#failed(member, link, toHeadwaterError(error, "INTERNAL", "the peer could not be taken in"));
    }
    member.peer = peer;
    void peer.closed.then((error) => this.#closed(member, link, error));
    this.#emitter.emit("peer", peer);
  }

  /** A peer has ended that was connected. */
  #closed(member: Member, link: RtcLink, error: HeadwaterError | null): void {
    if (member.link !== link) return;
    if (error === null) this.#forget(member);
    else this.#failed(member, link, error);
  }

  #failed(member: Member, link: RtcLink, error: HeadwaterError): void {
    if (member.link !== link || this.#isClosed) return;
    // A connection that came about makes the next attempt a first one.
    if (member.peer !== undefined) member.attempts = 0;
    const { session } = link;
    this.#drop(member, error);
    if (!PASSING.includes(error.code)) return this.#refuse(member, error);
    const isFinal = member.attempts >= ATTEMPTS_MAX;
    if (isFinal) this.#members.delete(member.id);
    else member.retry = setTimeout(() => this.#retry(member, session), retryMs(member.attempts));
    this.#emitter.emit("error", { id: member.id, error, isFinal });
  }

  #retry(member: Member, session: string): void {
    if (member.link !== undefined) return;
    if (this.#offersTo(member)) return this.#open(member, randomId());
    // The one that offers may not have noticed. If it has, it offers by itself.
    member.attempts += 1;
    this.#send({ kind: "again", session }, member);
    if (member.attempts < ATTEMPTS_MAX) {
      member.retry = setTimeout(() => this.#retry(member, session), retryMs(member.attempts));
    } else this.#members.delete(member.id);
  }

  /** Whoever was refused once would be again. It is remembered, so that its announcements change nothing. */
  #refuse(member: Member, error: HeadwaterError): void {
    this.#drop(member);
    member.refusal = error;
    this.#emitter.emit("error", { id: member.id, error, isFinal: true });
  }

  #forget(member: Member): void {
    clearTimeout(member.retry);
    this.#members.delete(member.id);
    this.#drop(member);
  }

  #drop(member: Member, error: HeadwaterError | null = null): void {
    const { link, peer } = member;
    member.link = undefined;
    member.peer = undefined;
    peer?.end(error);
    link?.close();
  }

  #send(said: Said, member?: Member): void {
    if (this.#isClosed) return;
    try {
      this.#carrier.send({ ...said, from: this.id, to: member?.id }, member?.via);
    } catch (error) {
      // What carries signals may lose them.
      const failure = toHeadwaterError(error, "OFFLINE", "a signal could not be sent");
      this.#emitter.emit("error", { id: member?.id ?? this.id, error: failure, isFinal: false });
    }
  }
}

function checkJoin(options: JoinPeersOptions, hasLeader: boolean): void {
  known(options, ["signal", "rtc", "RTCPeerConnection", "token", "authorize"], "joinPeers");
  checkPeer(options);
  const { signal, rtc, RTCPeerConnection } = options;
  if (signal === undefined && !hasLeader) {
    throw malformed("joinPeers needs a signal, or a database with a url, whose node relays signals");
  }
  if (signal !== undefined && typeof signal?.send !== "function") throw malformed("signal has a function send");
  if (rtc !== undefined && (typeof rtc !== "object" || rtc === null)) throw malformed("rtc is an RTCConfiguration");
  if (RTCPeerConnection !== undefined && typeof RTCPeerConnection !== "function") {
    throw malformed("RTCPeerConnection is a class");
  }
}

function retryMs(attempts: number): number {
  const bound = Math.min(RETRY_MS_MIN * 2 ** attempts, RETRY_MS_MAX);
  return bound * (0.5 + Math.random() / 2);
}

function randomId(): string {
  const [id = 0n] = crypto.getRandomValues(new BigUint64Array(1));
  return id.toString(16).padStart(16, "0");
}
