/**
 * The one loop around a node in wasm: inputs go in, one drain for all that arrived together, effects are executed in
 * their order. It decides nothing.
 */

import type { AnswerEffect, NodeEffect, NodeStatus, PersistEffect } from "../effects.js";
import { fromPlain, HeadwaterError, isCoded, toHeadwaterError } from "../errors.js";
import { createGlue, type Glue, type Node } from "../generated/node/glue.js";
import { Instance } from "../instance.js";
import { Alarms, AWAKE_MS_MAX } from "./alarms.js";
import type { EdgeContext } from "./cloudflare.js";
import { Connections } from "./connections.js";
import type { DocQuery } from "./doc-query.js";
import { Events } from "./events.js";
import { Gather } from "./gather.js";
import { noteMentions } from "./files/mentions.js";
import { NodeFiles, type NodeFilesParts } from "./files/node-files.js";
import { describe } from "./group/config.js";
import { Member, type Membership } from "./group/member.js";
import { type Figures, measure } from "./metrics.js";
import { Pending } from "./pending.js";
import { SqlStore } from "./sql-store.js";

/** The WebSocket code for a server that cannot go on. */
const SERVER_FAILED = 1011;

/** How many queries may be under way at once: each holds a document in memory until it is answered. */
const QUERIES_MAX = 128;

/** A document as the node holds it. */
const CURRENT: DocQuery = { bookmark: undefined, isStrong: false, timeoutMs: 10_000, format: "update" };

/** How long a question waits that asks for nothing but where the node is. */
const BOOKMARK_MS_MAX = 10_000;

/** Writes of one origin from its write `first` on. */
export interface Append {
  readonly origin: bigint;
  readonly first: number;
  readonly docs: string[];
  readonly updates: Uint8Array[];
  readonly timeoutMs: number;
}

/** What a query answers. */
export interface Answer {
  readonly bookmark: string;
  readonly json?: string;
  readonly update?: Uint8Array<ArrayBuffer>;
  /** Of a listing. */
  readonly names?: readonly string[];
}

/** What a node is made for. */
export interface NodeOptions {
  readonly database: string;
  /** Its part in a group, if it has one. */
  readonly membership: Membership | undefined;
  /** How much it keeps, as wasm takes it. */
  readonly retention: string;
  /** Where files are, if not in its own storage, and for how long they outlive the last reference. */
  readonly files: Pick<NodeFilesParts, "bucket" | "retentionMs">;
}

/** One instance of a node. */
export class NodeHost {
  readonly connections: Connections;
  readonly store: SqlStore;
  /** Its part in a group, if it has one. */
  readonly member: Member | undefined;
  /** Files that its documents refer to. */
  readonly files: NodeFiles;
  readonly #ctx: EdgeContext;
  readonly #alarms: Alarms;
  readonly #database: string;
  readonly #instance: Instance<Glue>;
  readonly #node: Node;
  readonly #events: Events;
  readonly #queries = new Pending<Answer>({
    max: QUERIES_MAX,
    what: "reads",
    cancel: (id) => this.tell((node, now) => node.cancelQuery(id, now)),
  });
  /** As of the last commit: figures are asked for by those who may not look at storage. */
  #storageBytes: number;
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #gather = new Gather(() => this.#drain());

  /** Makes the instance, and goes on with the connections that outlived the one before. */
  constructor(ctx: EdgeContext, module: WebAssembly.Module, { database, membership, retention, files }: NodeOptions) {
    this.#ctx = ctx;
    this.#alarms = new Alarms(ctx.storage);
    this.#database = database;
    this.connections = new Connections(ctx);
    this.store = new SqlStore(ctx.storage);
    this.#storageBytes = this.store.bytes;
    this.#events = new Events(database, membership?.me ?? "");
    this.#instance = new Instance(createGlue, module);
    this.#instance.onDeath = (cause) => this.#fail(cause);
    this.#node = this.#instance.call(() => make(this.#instance.glue, membership, retention));
    this.member = membership && new Member(membership, this, () => this.status().group?.leader);
    const { storage } = ctx;
    const leader = () => this.status().group?.leader;
    const read = async (doc: string) => (await this.query(doc, CURRENT)).update as Uint8Array;
    this.files = new NodeFiles({ ...files, storage, alarms: this.#alarms, database, membership, leader, read });
    measure(String(ctx.id), this);
    for (const { conn, state } of this.connections.restore()) {
      this.input((node, now) => node.restored(conn, state, now));
    }
    // At once: whoever woke the object waits for its storage to be read.
    this.#drain();
  }

  /** Passes something to the node and has its effects executed soon. */
  input(f: (node: Node, now: number) => void): void {
    this.#instance.call(() => f(this.#node, Date.now()));
    this.#gather.arrived();
  }

  /** Passes an answer from elsewhere to the node, which may be gone by now, and has its effects executed at once. */
  tell(f: (node: Node, now: number) => void): void {
    if (this.#instance.death !== undefined) return;
    try {
      this.#instance.call(() => f(this.#node, Date.now()));
      this.#gather.settled();
    } catch (error) {
      if (this.#instance.death === undefined) this.#instance.die(error);
    }
  }

  /** Reads a document, or with `undefined` only the bookmark of what the node holds. */
  query(doc: string | undefined, query: DocQuery, signal?: AbortSignal): Promise<Answer> {
    const { bookmark, isStrong, timeoutMs, format, at } = query;
    const start = (id: number) =>
      this.input((node, now) => node.query(id, doc, bookmark, isStrong, timeoutMs, format, at, now));
    return this.#queries.begin(start, signal);
  }

  /** What the node shows. */
  async bookmark(): Promise<string> {
    return (await this.query(undefined, { bookmark: undefined, isStrong: false, timeoutMs: BOOKMARK_MS_MAX, format: "json" })).bookmark;
  }

  /** A page of the documents that there were at a position, from the one after `after` on; an empty one is the end. */
  async listDocs(after: string | undefined, at: string): Promise<readonly string[]> {
    const page = await this.#queries.begin((id) => this.input((node, now) => node.listDocs(id, after, at, now)));
    return page.names ?? [];
  }

  /** Appends updates, each to the document beside it, in one commit or not at all. `next` is the number after the last write. */
  append({ origin, first, docs, updates, timeoutMs }: Append): { next: number; answer: Promise<Answer> } {
    let next = first;
    const answer = this.#queries.begin((id) =>
      this.input((node, now) => void (next = node.append(id, origin, first, docs, updates, timeoutMs, now))),
    );
    return { next, answer };
  }

  /** The update that brings a document back from one state to another; nothing if it is there. */
  restoration(now: Uint8Array, then: Uint8Array): Uint8Array | undefined {
    const [high = 0, low = 0] = crypto.getRandomValues(new Uint32Array(2));
    const client = (high % 2 ** 21) * 2 ** 32 + low;
    return this.#instance.call(() => this.#node.restoration(now, then, client));
  }

  /** What the instance has taken in memory at most. */
  get memoryBytes(): number {
    return this.#instance.memoryBytes;
  }

  /** Figures for an operator. */
  status(): NodeStatus {
    return this.#instance.call(() => this.#node.status(Date.now())) as NodeStatus;
  }

  /** The same for the metrics. */
  figures(): Figures | undefined {
    if (this.#instance.death !== undefined) return undefined;
    return {
      database: this.#database,
      member: this.member?.membership.me ?? "",
      status: this.status(),
      storageBytes: this.#storageBytes,
      memoryBytes: this.memoryBytes,
      events: this.#events.counts,
    };
  }

  #drain(): void {
    if (this.#instance.death !== undefined) return;
    try {
      // Scans are answered at once, which may ask for more.
      for (let effects = this.#poll(); effects.length > 0; effects = this.#poll()) {
        for (const effect of effects) this.#execute(effect);
      }
      this.#setTimer();
    } catch (error) {
      this.#instance.die(error);
    }
  }

  #poll(): NodeEffect[] {
    return this.#instance.call(() => this.#node.poll()) as NodeEffect[];
  }

  #execute(effect: NodeEffect): void {
    switch (effect.type) {
      case "send":
        return this.connections.send(effect.conn, effect.bytes);
      case "close":
        return this.connections.close(effect.conn, effect.code, effect.reason);
      case "attach":
        return this.connections.attach(effect.conn, effect.state);
      case "persist":
        this.#gather.committing();
        return void this.#persist(effect);
      case "scan": {
        const rows = this.store.scan(effect);
        return this.#instance.call(() => this.#node.scanned(effect.token, rows, Date.now()));
      }
      case "answer":
        return this.#answer(effect);
      case "docs":
        return this.#queries.resolve(effect.id, { bookmark: "", names: effect.names });
      case "event":
        return this.#events.tell(effect);
      case "failed":
        return void this.#instance.die(fromPlain(effect.error));
      default:
        return this.member?.execute(effect);
    }
  }

  #answer({ id, error, bookmark, json, update }: AnswerEffect): void {
    if (error !== undefined) return this.#queries.reject(id, fromPlain(error));
    this.#queries.resolve(id, {
      bookmark: bookmark as string,
      ...(json === undefined ? {} : { json }),
      ...(update === undefined ? {} : { update }),
    });
  }

  async #persist({ token, ops }: PersistEffect): Promise<void> {
    try {
      const { mentions } = this.#instance.glue.Node;
      noteMentions(ops, this.files.tables, (...row) => this.#instance.call(() => mentions(...row)));
      await this.store.commit(ops);
      this.#storageBytes = this.store.bytes;
      if (this.#instance.death !== undefined) return;
      this.#instance.call(() => this.#node.persisted(token, Date.now()));
      this.#gather.settled();
    } catch (cause) {
      if (this.#instance.death !== undefined) return;
      const error = toHeadwaterError(cause, "STORAGE_UNAVAILABLE", "the node's storage failed");
      this.input((node, now) => node.storageFailed(error.code, error.message, now));
    }
  }

  // What has no deadline has no timer, and may hibernate.
  #setTimer(): void {
    clearTimeout(this.#timer);
    const due = this.#instance.call(() => this.#node.nextTimeout());
    if (due === undefined) return;
    const delayMs = Math.max(due - Date.now(), 0) + 1;
    if (delayMs > AWAKE_MS_MAX) return this.#alarms.set("node", due + 1);
    this.#timer = setTimeout(() => this.tick(), delayMs);
  }

  /** The alarm went off. */
  rang(): void {
    this.#alarms.rang();
    this.tick();
    this.files.tick();
  }

  /** Time has passed. */
  tick(): void {
    this.tell((node, now) => node.tick(now));
  }

  /** The memory no longer agrees with storage: another instance begins again from there. */
  #fail(cause: HeadwaterError): void {
    clearTimeout(this.#timer);
    this.#queries.fail(cause);
    this.member?.fail(cause);
    this.files.stop();
    this.connections.closeAll(SERVER_FAILED, cause.code);
    console.error(`headwater: the node failed and begins anew: ${cause.code}: ${cause.message}`);
    this.#ctx.abort(`${cause.code}: ${cause.message}`);
  }
}

function make(glue: Glue, membership: Membership | undefined, retention: string): Node {
  const [generation] = crypto.getRandomValues(new BigUint64Array(1)) as unknown as [bigint];
  try {
    return new glue.Node(generation, membership && describe(membership.group, membership.me), retention);
  } catch (error) {
    if (!isCoded(error)) throw error;
    // Of those who wrote the configuration, not of whoever asks.
    throw new HeadwaterError("INTERNAL", `HEADWATER_GROUP: ${error.message}`, { cause: error });
  }
}
