/** A database as its users have it. It only dresses the engine. */

import {
  type BackupSource,
  type ExportOptions,
  exportReplica,
  type Imported,
  type ImportOptions,
  importReplica,
} from "./backup/replica.js";
import type { Document } from "./document.js";
import type { Degraded, Engine } from "./engine.js";
import { Emitter } from "./emitter.js";
import { type HeadwaterError, malformed } from "./errors.js";
import type { Files } from "./files/files.js";
import { History } from "./history.js";
import { checkFunction, checkTransact, timeoutOf } from "./options.js";
import { type JoinPeersOptions, Mesh } from "./peers/mesh.js";
import type { ConnectPeerOptions } from "./peers/options.js";
import type { Peer, PeerStatus } from "./peers/peer.js";
import type { PeerPort } from "./peers/carrier.js";
import type { Receipt } from "./receipt.js";
import { Session } from "./session.js";
import type { Store } from "./store/store.js";
import type { Conflict, DatabaseStatus, StorageIncident, TransactOptions, WaitOptions } from "./types.js";

/** How long `doc` waits for local storage unless told otherwise. */
const LOAD_MS = 30_000;

/** Writes that are not settled, of this opening and of earlier ones: no leader, or in a group no quorum, has confirmed them. */
export interface Pending {
  /** How many. */
  readonly count: number;
  /** What they weigh. */
  readonly bytes: number;
  /** When the oldest was written, by the writer's clock. */
  readonly oldest: Date | null;
  /** A receipt for each that is pending when this is called, oldest first. */
  receipts(): Receipt[];
}

/** How far a large document has come that the node sends as a whole. */
export interface Progress {
  /** Its name. */
  readonly doc: string;
  /** Bytes that have arrived. After a connection that was cut the next one goes on from here. */
  readonly received: number;
  /** Bytes in all; when they have arrived, the document is shown. What was written to it lately follows. */
  readonly total: number;
}

/** What a database tells. */
export interface DatabaseEvents {
  /** The phase, the node, the epoch, the tab's part, the storage or the error has changed. Not told: `lag` and `isStored`, which every write moves. */
  status: DatabaseStatus;
  /** The number or the weight of pending writes has changed. */
  pending: Pending;
  /** A peer is connected or not any more, or one was heard of by way of others. Not told: `behind`, which every write moves. */
  peers: readonly PeerStatus[];
  /** A wait for a write's concern was content with less, as its {@link Degrade} option allows. */
  degraded: Degraded;
  /**
   * A document was made anew: a rejected write was taken back, or the WebAssembly instance died, or storage was deleted, and
   * the document was read again. Its root types' observers were told; types within them have to be got again after the latter.
   */
  reset: { readonly doc: string };
  /**
   * A part of a large document has arrived: one whose past the node has put together, and which takes more than one message,
   * which hold 256 KiB. Other documents arrive at once and are not told of.
   */
  progress: Progress;
  /**
   * A value of a map lost against another one that was set without knowing it: see {@link Conflict}. Told once for each, after
   * the observers, of what arrives from when the first listener is added; a listener may set the key anew.
   */
  conflict: Conflict;
  /**
   * A document was taken out: it could not be read from storage, or not take in what came. Its reads and writes throw
   * the error; `doc` tries anew. Other documents go on.
   */
  unloadable: { readonly doc: string; readonly error: HeadwaterError };
  /**
   * Something happened to what is kept here. What was found out when the database was opened is in {@link DatabaseStatus.incident}:
   * nobody could listen then.
   */
  storage: StorageIncident;
}

/** An open database: `await open(name, { url })` makes one. */
export class Database {
  /** Its name. */
  readonly name: string;
  /** Files that its documents refer to. */
  readonly files: Files;
  readonly #engine: Engine;
  readonly #hasLeader: boolean;
  /** Another one after storage was lost. */
  readonly #store: () => Store;
  readonly #urls: readonly string[];
  readonly #emitter = new Emitter<DatabaseEvents>();
  #toldStatus = "";
  #toldPending = "";
  #toldPeers = "";
  #mesh: Mesh | undefined;

  /** Made by `open`. */
  constructor(name: string, engine: Engine, files: Files, store: () => Store, urls: readonly string[]) {
    this.name = name;
    this.files = files;
    this.#engine = engine;
    this.#hasLeader = urls.length > 0;
    this.#store = store;
    this.#urls = urls;
    engine.emitter.on("changed", () => this.#tell());
    engine.emitter.on("degraded", (event) => this.#emitter.emit("degraded", event));
    engine.emitter.on("incident", (event) => this.#emitter.emit("storage", event));
    engine.emitter.on("reset", (event) => this.#emitter.emit("reset", event));
    engine.emitter.on("progress", (event) => this.#emitter.emit("progress", event));
    engine.emitter.on("conflict", (event) => this.#emitter.emit("conflict", event));
    engine.emitter.on("unloadable", (event) => this.#emitter.emit("unloadable", event));
  }

  /**
   * A document, once its local copy is loaded; the same object each time. It is there at once without a network, empty
   * if nothing of it has been received yet.
   */
  async doc(name: string, options: WaitOptions = {}): Promise<Document> {
    return this.#engine.documents.open(name, timeoutOf(options, LOAD_MS), options.signal);
  }

  /** Runs `f` as one write over all documents that it changes: one receipt, applied together everywhere. */
  transact(f: () => void, options: TransactOptions = {}): Receipt {
    checkFunction(f, "transact");
    checkTransact(options);
    return this.#engine.transactions.transact(f, options);
  }

  /** Begins a session, from a bookmark if it goes on where another one was. */
  session(options: { readonly from?: string | null | undefined } = {}): Session {
    const from = options.from ?? undefined;
    if (from !== undefined && typeof from !== "string") throw malformed("from is a bookmark, which is a string");
    return new Session(this.#engine, from);
  }

  /** Writes that are not settled, as of now. True right after a reload, too. */
  get pending(): Pending {
    const { count, bytes, oldestUnixMs } = this.#engine.pending();
    const oldest = oldestUnixMs === undefined ? null : new Date(oldestUnixMs);
    return { count, bytes, oldest, receipts: () => this.#engine.pendingReceipts() };
  }

  /** Where the database stands, as of now. */
  get status(): DatabaseStatus {
    return this.#engine.status();
  }

  /** The replicas that this one knows of, as of now. */
  get peers(): readonly PeerStatus[] {
    return this.#engine.peers.list();
  }

  /**
   * Connects this replica to another one of the same database by anything that carries messages: no leader is needed, and
   * none is in the way. Each gets what it lacks, and passes on what the other lacks, so that chains work too. Both sides
   * call it, each with its end of the port.
   *
   * The token is passed to the other side, whose `authorize` decides. **Without `authorize` every peer that holds the other
   * end of the port is accepted.** Throws `MALFORMED` if the port is none.
   */
  connectPeer(port: PeerPort, options: ConnectPeerOptions = {}): Peer {
    return this.#engine.peers.connect(port, options);
  }

  /**
   * Joins all others who have joined the same database, by WebRTC: finds them, connects to each, and connects again what
   * breaks. Signals go through the node that the database is connected to, or through what the application passes.
   */
  joinPeers(options: JoinPeersOptions = {}): Mesh {
    this.#engine.checkOpen();
    if (this.#mesh?.isClosed === false) throw malformed("the database has joined its peers already; close the mesh first");
    this.#mesh = new Mesh({ database: this.name, engine: this.#engine, hasLeader: this.#hasLeader }, options);
    return this.#mesh;
  }

  /**
   * What this replica holds as a backup, as `docs/backup.md` describes it: `new Response(db.export()).blob()` has it in one
   * piece. Documents are read one after the other, each as it is then.
   */
  export(options: ExportOptions = {}): ReadableStream<Uint8Array> {
    return exportReplica({ database: this.name, engine: this.#engine, store: this.#store() }, options);
  }

  /**
   * Takes in a backup, of this database or of another one: what is not here is written, with receipts. A document is not
   * begun before it has proved whole, and doing it again changes nothing.
   */
  import(backup: BackupSource, options: ImportOptions = {}): Promise<Imported> {
    return importReplica({ database: this.name, engine: this.#engine, store: this.#store() }, backup, options);
  }

  /** A document's past, which the nodes keep. */
  history(doc: string): History {
    return new History(this.#urls, doc);
  }

  /** Adds a listener; answers how to remove it. */
  on<Name extends keyof DatabaseEvents>(name: Name, listener: (event: DatabaseEvents[Name]) => void): () => void {
    // What has changed while nobody listened is no news, and what changes from here on is, whatever was told before.
    if (!this.#emitter.has(name)) {
      if (name === "status") this.#toldStatus = statusKey(this.status);
      if (name === "conflict") this.#engine.tellConflicts();
      if (name === "pending" && this.#engine.death === undefined) this.#toldPending = pendingKey(this.pending);
      if (name === "peers" && this.#engine.death === undefined) this.#toldPeers = peersKey(this.peers);
    }
    return this.#emitter.on(name, listener);
  }

  /** Closes the connection, which all tabs share, and opens none until {@link connect}. Reads and writes go on locally. */
  disconnect(): void {
    this.#pause(true);
  }

  /** Connects again after {@link disconnect}, or after `open` with `connect: false`. */
  connect(): void {
    this.#pause(false);
  }

  /**
   * Stores everything, then lets go of everything. What is waited for ends with `CLOSED`. If storage did not take
   * everything it rejects, with `TIMEOUT` after 10 seconds or with what storage said; it is closed then, too.
   */
  close(): Promise<void> {
    // While it can still say that it leaves.
    this.#mesh?.close();
    return this.#engine.close();
  }

  /** Closes it at the end of an `await using` block. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  #pause(isPaused: boolean): void {
    this.#engine.checkOpen();
    if (!this.#hasLeader) throw malformed("the database was opened without a url: there is nothing to connect to");
    this.#engine.pause(isPaused);
  }

  // What is not listened to is not computed: this runs after every commit.
  #tell(): void {
    if (this.#emitter.has("status")) {
      const status = this.status;
      const told = statusKey(status);
      if (told !== this.#toldStatus) {
        this.#toldStatus = told;
        this.#emitter.emit("status", status);
      }
    }
    if (this.#emitter.has("pending") && this.#engine.death === undefined) {
      const { pending } = this;
      const told = pendingKey(pending);
      if (told !== this.#toldPending) {
        this.#toldPending = told;
        this.#emitter.emit("pending", pending);
      }
    }
    if (this.#emitter.has("peers") && this.#engine.death === undefined) {
      const { peers } = this;
      const told = peersKey(peers);
      if (told !== this.#toldPeers) {
        this.#toldPeers = told;
        this.#emitter.emit("peers", peers);
      }
    }
  }
}

/** What a status event tells of, as text to compare. */
function statusKey({ phase, member, memberRole, epoch, generation, tab, storage, error }: DatabaseStatus): string {
  return JSON.stringify([phase, member, memberRole, epoch, generation, tab, storage, error?.code, error?.message]);
}

function peersKey(peers: readonly PeerStatus[]): string {
  return JSON.stringify(peers.map(({ id, isDirect }) => [id, isDirect]));
}

function pendingKey({ count, bytes }: Pending): string {
  return `${count}/${bytes}`;
}
