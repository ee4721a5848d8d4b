/** `HeadwaterNode`: the Durable Object class around a node. It turns the platform's events into the host's inputs. */

import { HeadwaterError } from "../errors.js";
import { Base } from "./base.js";
import { type EdgeContext, type EdgeSocket, edge } from "./cloudflare.js";
import { parseDocQuery } from "./doc-query.js";
import { NodeHost } from "./host.js";
import { BOOKMARK_HEADER, failure, json, otherMethod, respond, withoutBody } from "./http.js";
import module from "./headwater.wasm";
import { parsePath } from "./path.js";
import { hasTables } from "./sql-store.js";

/** The close code for MALFORMED, as in the core: 4000 and the code's number. */
const CLOSE_MALFORMED = 4004;
/** How long the status waits for storage to be read. */
const STATUS_MS_MAX = 5_000;
/** The close code for a connection that ended without one. */
const CLOSE_NORMAL = 1000;

/** One database's node, in the leader role. Export it from your worker, and bind its namespace as `HEADWATER`. */
export class HeadwaterNode extends Base {
  readonly #ctx: EdgeContext;
  #begun: NodeHost | undefined;
  readonly #instanceId = crypto.randomUUID();
  readonly #startedAt = new Date();

  /** Called by the platform. */
  constructor(ctx: EdgeContext, env: unknown) {
    super(ctx, env);
    this.#ctx = ctx;
    // Answered by the platform: a replica that asks whether the node is alive does not wake it.
    ctx.setWebSocketAutoResponse(new edge.WebSocketRequestResponsePair("ping", "pong"));
    // At once, unless there is nothing to begin with: a question after a database must not make one.
    if (hasTables(ctx.storage.sql)) this.#begin();
  }

  /** Called by the platform. */
  async fetch(request: Request): Promise<Response> {
    const { method } = request;
    if (method !== "GET" && method !== "HEAD") return otherMethod(method);
    try {
      const response = await this.#answer(request);
      return method === "HEAD" ? withoutBody(response) : response;
    } catch (error) {
      if (!(error instanceof HeadwaterError)) console.error("headwater:", error);
      return failure(error);
    }
  }

  /** Called by the platform. */
  webSocketMessage(socket: EdgeSocket, message: string | ArrayBuffer): void {
    const conn = this.#host.connections.numberOf(socket);
    if (conn === undefined) return;
    if (typeof message === "string") {
      this.#host.connections.end(socket, CLOSE_MALFORMED, "MALFORMED");
      return this.#host.input((node, now) => node.closed(conn, now));
    }
    this.#host.input((node, now) => node.frame(conn, new Uint8Array(message), now));
  }

  /** Called by the platform. */
  webSocketClose(socket: EdgeSocket, code: number): void {
    // Codes below 3000 other than this one may not be sent back.
    this.#gone(socket, code >= 3000 ? code : CLOSE_NORMAL);
  }

  /** Called by the platform. */
  webSocketError(socket: EdgeSocket): void {
    this.#gone(socket, CLOSE_NORMAL);
  }

  get #host(): NodeHost {
    return this.#begun ?? this.#begin();
  }

  #begin(): NodeHost {
    this.#begun = new NodeHost(this.#ctx, module);
    return this.#begun;
  }

  #gone(socket: EdgeSocket, code: number): void {
    const conn = this.#host.connections.numberOf(socket);
    this.#host.connections.end(socket, code, "");
    if (conn !== undefined) this.#host.input((node, now) => node.closed(conn, now));
  }

  async #answer(request: Request): Promise<Response> {
    const url = new URL(request.url);
    const target = parsePath(url.pathname);
    switch (target?.kind) {
      case "sync":
        return this.#accept(request);
      case "status":
        return json(await this.#status());
      case "doc":
        return this.#read(target.doc, url, request);
      default:
        return failure(new HeadwaterError("NOT_FOUND", "there is nothing at this path"));
    }
  }

  #accept(request: Request): Response {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      const message = "this path takes WebSockets only";
      return json({ code: "MALFORMED", message }, 426, { upgrade: "websocket" });
    }
    const pair = new edge.WebSocketPair();
    const conn = this.#host.connections.accept(pair[1]);
    this.#host.input((node, now) => node.opened(conn, now));
    return new Response(null, { status: 101, webSocket: pair[0] } as ResponseInit);
  }

  async #read(doc: string, url: URL, { headers, signal }: Request): Promise<Response> {
    const query = parseDocQuery(url, headers);
    const { bookmark, json: text, update } = await this.#host.query(doc, query, signal);
    const isUpdate = query.format === "update";
    return respond((isUpdate ? update : text) ?? null, 200, {
      "content-type": isUpdate ? "application/octet-stream" : "application/json",
      vary: `accept, ${BOOKMARK_HEADER}`,
      [BOOKMARK_HEADER]: bookmark,
    });
  }

  async #status(): Promise<object> {
    if (this.#begun === undefined) {
      throw new HeadwaterError("NOT_FOUND", "there is no such database yet: the first connection or read makes it");
    }
    // Asked for nothing, the node answers once it has read its storage; if it cannot, that is its status.
    const nothing = { bookmark: undefined, isStrong: false, timeoutMs: STATUS_MS_MAX, format: "json" } as const;
    await this.#host.query(undefined, nothing).catch(() => undefined);
    const status = this.#host.status();
    return {
      role: "leader",
      isLoaded: status.isLoaded,
      generation: status.generation.toString(16).padStart(16, "0"),
      epoch: Number(status.epoch),
      lsn: Number(status.lsn),
      connections: status.connections,
      sockets: this.#ctx.getWebSockets().length,
      rowsCommitted: Number(status.rowsCommitted),
      entriesCommitted: Number(status.entriesCommitted),
      storageBytes: this.#host.store.bytes,
      failure: status.failure ?? null,
      // Another one after a restart, and after hibernation.
      instance: { id: this.#instanceId, startedAt: this.#startedAt.toISOString() },
    };
  }
}
