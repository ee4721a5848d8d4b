/** The ports of one database: each has a number, by which the core knows it. What goes through them is the core's matter. */

import type { PeerEffect, PeerRow } from "../effects.js";
import type { Engine } from "../engine.js";
import { fromPlain, type HeadwaterError, malformed, type PlainError, reportUncaught } from "../errors.js";
import { onAbort } from "../waits.js";
import { type Authorize, type ConnectPeerOptions, checkConnectPeer } from "./options.js";
import { Peer, type PeerStatus } from "./peer.js";
import { Port } from "./port.js";

interface Entry {
  readonly port: Port;
  readonly authorize: Authorize | undefined;
  id: string | null;
  /** Whether the core knows of it. */
  isOpen: boolean;
  /** Resolves {@link Peer.closed}. */
  readonly resolve: (error: HeadwaterError | null) => void;
}

/** The ports of one database. */
export class Peers {
  readonly #engine: Engine;
  readonly #entries = new Map<number, Entry>();
  readonly #taken = new WeakSet<object>();
  #last = 0;

  /** One for each database. */
  constructor(engine: Engine) {
    this.#engine = engine;
  }

  /** Takes a port over. */
  connect(port: unknown, options: ConnectPeerOptions): Peer {
    checkConnectPeer(options);
    this.#engine.checkOpen();
    if (typeof port === "object" && port !== null && this.#taken.has(port)) {
      throw malformed("the port connects a peer already");
    }
    this.#last += 1;
    const number = this.#last;
    const { token, authorize, signal } = options;
    let resolve: Entry["resolve"] = () => undefined;
    const closed = new Promise<HeadwaterError | null>((done) => {
      resolve = done;
    });
    const entry: Entry = {
      authorize,
      resolve,
      id: null,
      isOpen: false,
      port: new Port(port, {
        opened: () => {
          entry.isOpen = true;
          this.#engine.driver.tell((replica, now) => replica.peerOpened(number, token, authorize !== undefined, now));
        },
        frame: (bytes) => this.#engine.driver.tell((replica, now) => replica.peerFrame(number, bytes, now)),
        ended: (error) => this.#gone(number, error),
      }),
    };
    this.#taken.add(port as object);
    this.#entries.set(number, entry);
    const unlisten = onAbort(signal, (error) => this.#end(number, error));
    void closed.then(unlisten);
    const id = () => {
      this.#note();
      return entry.id;
    };
    return new Peer({ closed, id, end: (error) => this.#end(number, error) });
  }

  /** Does what the core asks for; answers what is to be told afterwards. */
  execute(effect: PeerEffect): (() => void) | undefined {
    const entry = this.#entries.get(effect.peer);
    if (entry === undefined) return undefined;
    switch (effect.type) {
      case "sendPeer":
        entry.port.send(effect.bytes);
        return undefined;
      case "closePeer":
        this.#note();
        this.#entries.delete(effect.peer);
        entry.port.close();
        // That the other side has closed it is no error.
        return () => entry.resolve(effect.error === undefined || isClose(effect.error) ? null : fromPlain(effect.error));
      case "askPeer":
        return () => void this.#ask(effect.peer, entry, effect.token);
    }
  }

  /** Every replica that is known. */
  list(): PeerStatus[] {
    return this.#rows().map(({ replica, peer, behind }) => ({ id: replica, isDirect: peer !== undefined, behind }));
  }

  /** The database is closed, or dead. */
  end(error: HeadwaterError | null): void {
    for (const [number, { port, resolve }] of [...this.#entries]) {
      this.#entries.delete(number);
      port.close();
      resolve(error);
    }
  }

  /** This side gives it up. The core tells the other side, then has the port closed. */
  #end(number: number, error: HeadwaterError | null): void {
    const entry = this.#entries.get(number);
    if (entry === undefined) return;
    if (!entry.isOpen) return this.#gone(number, error);
    this.#note();
    entry.resolve(error);
    this.#engine.driver.tell((replica, now) => replica.closePeer(number, now));
  }

  /** The port is over. */
  #gone(number: number, error: HeadwaterError | null): void {
    const entry = this.#entries.get(number);
    if (entry === undefined) return;
    this.#note();
    this.#entries.delete(number);
    if (entry.isOpen) this.#engine.driver.tell((replica, now) => replica.peerClosed(number, now));
    entry.port.close();
    entry.resolve(error);
  }

  async #ask(number: number, entry: Entry, token: string | undefined): Promise<void> {
    let isApproved = false;
    try {
      isApproved = (await entry.authorize?.(token)) === true;
    } catch (error) {
      // Whoever could not decide has not said yes, and its error is the page's to see.
      reportUncaught(error);
    }
    if (this.#entries.get(number) !== entry) return;
    this.#engine.driver.tell((replica, now) => replica.peerApproved(number, isApproved, now));
  }

  /** Keeps who is at the other ends: after the end of a connection the core does not know any more. */
  #note(): void {
    if (this.#engine.death !== undefined) return;
    for (const { replica, peer } of this.#rows()) {
      const entry = peer === undefined ? undefined : this.#entries.get(peer);
      if (entry !== undefined) entry.id = replica;
    }
  }

  #rows(): PeerRow[] {
    return this.#engine.driver.ask((replica) => replica.peers()) as PeerRow[];
  }
}

function isClose({ code }: PlainError): boolean {
  return code === "CLOSED";
}
