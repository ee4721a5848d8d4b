/**
 * The one loop around a node in wasm: inputs go in, one drain for all that arrived together, effects are executed in
 * their order. It decides nothing.
 */

import type { NodeEffect, NodeStatus, PersistEffect } from "../effects.js";
import { fromPlain, type HeadwaterError, toHeadwaterError } from "../errors.js";
import type { Node } from "../generated/glue.js";
import { Instance } from "../instance.js";
import type { EdgeContext } from "./cloudflare.js";
import { Connections } from "./connections.js";
import { Gather } from "./gather.js";
import { type Answer, Queries } from "./queries.js";
import { SqlStore } from "./sql-store.js";

/** The WebSocket code for a server that cannot go on. */
const SERVER_FAILED = 1011;

/** One instance of a node. */
export class NodeHost {
  readonly connections: Connections;
  readonly store: SqlStore;
  readonly #ctx: EdgeContext;
  readonly #instance: Instance;
  readonly #node: Node;
  readonly #queries = new Queries();
  #timer: ReturnType<typeof setTimeout> | undefined;
  readonly #gather = new Gather(() => this.#drain());

  /** Makes the instance, and goes on with the connections that outlived the one before. */
  constructor(ctx: EdgeContext, module: WebAssembly.Module) {
    this.#ctx = ctx;
    this.connections = new Connections(ctx);
    this.store = new SqlStore(ctx.storage);
    this.#instance = new Instance(module);
    this.#instance.onDeath = (cause) => this.#fail(cause);
    const [generation] = crypto.getRandomValues(new BigUint64Array(1)) as unknown as [bigint];
    this.#node = new this.#instance.glue.Node(generation);
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

  /** Reads a document, or with `undefined` only the bookmark of what the node holds. */
  query(
    doc: string | undefined,
    { bookmark, isStrong, timeoutMs, format }: {
      bookmark: string | undefined;
      isStrong: boolean;
      timeoutMs: number;
      format: "json" | "update";
    },
    signal?: AbortSignal,
  ): Promise<Answer> {
    return this.#queries.begin(
      (id) => this.input((node, now) => node.query(id, doc, bookmark, isStrong, timeoutMs, format, now)),
      (id) => this.#instance.death ?? this.input((node, now) => node.cancelQuery(id, now)),
      signal,
    );
  }

  /** Figures for an operator. */
  status(): NodeStatus {
    return this.#instance.call(() => this.#node.status()) as NodeStatus;
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
        return this.#queries.answer(effect);
      case "failed":
        this.#instance.die(fromPlain(effect.error));
    }
  }

  async #persist({ token, ops }: PersistEffect): Promise<void> {
    try {
      await this.store.commit(ops);
      if (this.#instance.death !== undefined) return;
      this.#instance.call(() => this.#node.persisted(token, Date.now()));
      this.#gather.committed();
    } catch (cause) {
      if (this.#instance.death !== undefined) return;
      const error = toHeadwaterError(cause, "STORAGE_UNAVAILABLE", "the node's storage failed");
      this.input((node, now) => node.storageFailed(error.code, error.message, now));
    }
  }

  // Only queries have deadlines here: an idle node has no timer, and may hibernate.
  #setTimer(): void {
    clearTimeout(this.#timer);
    const due = this.#instance.call(() => this.#node.nextTimeout());
    if (due === undefined) return;
    const tick = () => this.#instance.death ?? this.input((node, now) => node.tick(now));
    this.#timer = setTimeout(tick, Math.max(due - Date.now(), 0) + 1);
  }

  /** The memory no longer agrees with storage: another instance begins again from there. */
  #fail(cause: HeadwaterError): void {
    clearTimeout(this.#timer);
    this.#queries.fail(cause);
    this.connections.closeAll(SERVER_FAILED, cause.code);
    console.error(`headwater: the node failed and begins anew: ${cause.code}: ${cause.message}`);
    this.#ctx.abort(`${cause.code}: ${cause.message}`);
  }
}
