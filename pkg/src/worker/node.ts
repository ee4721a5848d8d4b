/** `HeadwaterNode`: the Durable Object class around a node. It turns the platform's events into the host's inputs. */

import { HeadwaterError, toHeadwaterError } from "../errors.js";
import { Base } from "./base.js";
import { type EdgeContext, type EdgeSocket, edge } from "./cloudflare.js";
import { type DocQuery, parseDocQuery } from "./doc-query.js";
import { exportDatabase } from "./export.js";
import type { Command, Done } from "./group/command.js";
import type { Member } from "./group/member.js";
import { deploymentOf } from "./group/deployment.js";
import { membershipOf } from "./group/membership.js";
import type { Outcome } from "./group/objects.js";
import { NodeHost } from "./host.js";
import { BOOKMARK_HEADER, failure, groupHeaders, json, otherMethod, respond, withoutBody } from "./http.js";
import module from "./headwater-node.wasm";
import { databaseOf, keepDatabase } from "./identity.js";
import { importBackup } from "./import.js";
import { type FileTarget, methodsOf, parsePath, type Target } from "./path.js";
import { restoreDocument } from "./restore.js";
import { hasTables } from "./sql-store.js";
import { statusOf } from "./status.js";

/** The close code for MALFORMED, as in the core: 4000 and the code's number. */
const CLOSE_MALFORMED = 4004;
/** Asked for nothing, the node answers once it has read its storage. */
const NOTHING: DocQuery = { bookmark: undefined, isStrong: false, timeoutMs: 5_000, format: "json" };
/** The close code for a connection that ended without one. */
const CLOSE_NORMAL = 1000;

/** One database's node. Export it from your worker, and bind its namespace as `HEADWATER`. */
export class HeadwaterNode extends Base {
  readonly #ctx: EdgeContext;
  readonly #env: object;
  #begun: NodeHost | undefined;
  readonly #instance = { id: crypto.randomUUID(), startedAt: new Date().toISOString() };

  /** Called by the platform. */
  constructor(ctx: EdgeContext, env: unknown) {
    super(ctx, env);
    this.#ctx = ctx;
    this.#env = env as object;
    // Answered by the platform: a replica that asks whether the node is alive does not wake it.
    ctx.setWebSocketAutoResponse(new edge.WebSocketRequestResponsePair("ping", "pong"));
    // At once, unless there is nothing to begin with: a question after a database must not make one.
    if (databaseOf(ctx.storage.sql) !== undefined) this.#beginEarly();
  }

  /** Called by the platform. */
  async fetch(request: Request): Promise<Response> {
    const { method } = request;
    try {
      const target = parsePath(new URL(request.url).pathname);
      const { methods, allow } = methodsOf(target);
      if (!methods.includes(method)) return otherMethod(method, allow);
      const response = await this.#answer(target, request);
      return method === "HEAD" ? withoutBody(response) : response;
    } catch (error) {
      return failure(told(error));
    }
  }

  /** Called by other members of the group: see `NodeStub`. */
  called(database: string, bytes: Uint8Array): Promise<Outcome<Uint8Array>> {
    return outcomeOf(() => this.#member(database).called(bytes));
  }

  /** Called by other members of the group: see `NodeStub`. */
  calledForFiles(database: string, bytes: Uint8Array): Promise<Outcome<Uint8Array>> {
    return outcomeOf(() => this.#host(database).files.called(bytes));
  }

  /** Called for an operator: see `NodeStub`. */
  administer(database: string, command: Command, isPassedOn: boolean): Promise<Outcome<Done>> {
    return outcomeOf(() => this.#member(database).administer(command, isPassedOn));
  }

  /** Called by the platform. */
  webSocketMessage(socket: EdgeSocket, message: string | ArrayBuffer): void {
    const host = this.#host();
    const conn = host.connections.numberOf(socket);
    if (conn === undefined) return;
    if (typeof message === "string") {
      host.connections.end(socket, CLOSE_MALFORMED, "MALFORMED");
      return host.input((node, now) => node.closed(conn, now));
    }
    host.input((node, now) => node.frame(conn, new Uint8Array(message), now));
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

  /** Called by the platform. */
  alarm(): void {
    this.#host().rang();
  }

  /** The host, begun for the database that a request names, or that was kept when one did. */
  #host(database = databaseOf(this.#ctx.storage.sql) ?? ""): NodeHost {
    if (this.#begun !== undefined) return this.#begun;
    const membership = membershipOf(this.#ctx.id, this.#env, database);
    const { files, retention } = deploymentOf(this.#env);
    this.#begun = new NodeHost(this.#ctx, module, { database, membership, retention, files });
    keepDatabase(this.#ctx.storage.sql, database);
    return this.#begun;
  }

  #beginEarly(): void {
    try {
      this.#host();
    } catch (error) {
      // Whoever asks next is told the same; an object that cannot be made would tell nobody why.
      told(error);
    }
  }

  #member(database: string): Member {
    const { member } = this.#host(database);
    if (member !== undefined) return member;
    throw new HeadwaterError("NOT_FOUND", "this node leads alone: HEADWATER_GROUP names no group");
  }

  #gone(socket: EdgeSocket, code: number): void {
    const host = this.#host();
    const conn = host.connections.numberOf(socket);
    host.connections.end(socket, code, "");
    if (conn !== undefined) host.input((node, now) => node.closed(conn, now));
  }

  async #answer(target: Target | null, request: Request): Promise<Response> {
    const { headers, signal } = request;
    const url = new URL(request.url);
    switch (target?.kind) {
      case "sync":
        return this.#accept(this.#host(target.database), request);
      case "status":
        return this.#status(target.database);
      case "doc":
        return this.#read(this.#host(target.database), target.doc, url, request);
      case "file":
        return this.#file(target, url, request);
      case "restore":
        return restoreDocument(this.#host(target.database), target.doc, parseDocQuery(url, headers), signal);
      case "export":
        return this.#export(target.database, url, request);
      case "import":
        return importBackup(this.#host(target.database), request);
      default:
        return failure(new HeadwaterError("NOT_FOUND", "there is nothing at this path"));
    }
  }

  #checkMade(): void {
    if (hasTables(this.#ctx.storage.sql)) return;
    throw new HeadwaterError("NOT_FOUND", "there is no such database yet: the first connection or read makes it");
  }

  #accept(host: NodeHost, request: Request): Response {
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      const message = "this path takes WebSockets only";
      return json({ code: "MALFORMED", message }, 426, { upgrade: "websocket" });
    }
    const pair = new edge.WebSocketPair();
    const conn = host.connections.accept(pair[1]);
    host.input((node, now) => node.opened(conn, now));
    return new Response(null, { status: 101, webSocket: pair[0] } as ResponseInit);
  }

  async #read(host: NodeHost, doc: string, url: URL, { headers, signal }: Request): Promise<Response> {
    const query = parseDocQuery(url, headers);
    const { bookmark, json: text, update } = await host.query(doc, query, signal);
    const isUpdate = query.format === "update";
    return respond((isUpdate ? update : text) ?? null, 200, {
      "content-type": isUpdate ? "application/octet-stream" : "application/json",
      vary: `accept, ${BOOKMARK_HEADER}`,
      [BOOKMARK_HEADER]: bookmark,
      ...groupHeaders(host.status().group),
    });
  }

  async #file(target: FileTarget, url: URL, request: Request): Promise<Response> {
    if (request.method !== "POST") this.#checkMade();
    try {
      return await this.#host(target.database).files.answer(target, url, request);
    } catch (error) {
      // What came is not what its name says; elsewhere it is storage that is damaged.
      const { code } = error as Partial<HeadwaterError>;
      return code === "CORRUPT" ? failure(error, 422) : failure(told(error));
    }
  }

  async #export(database: string, url: URL, { method, headers, signal }: Request): Promise<Response> {
    this.#checkMade();
    const docs = url.searchParams.getAll("doc");
    const response = await exportDatabase(this.#host(database), database, parseDocQuery(url, headers), docs, signal);
    // What nobody reads is not made.
    if (method === "HEAD") await response.body?.cancel();
    return response;
  }

  async #status(database: string): Promise<Response> {
    this.#checkMade();
    const host = this.#host(database);
    // If it cannot read its storage, that is its status.
    await host.query(undefined, NOTHING).catch(() => undefined);
    const { store, memoryBytes, files } = host;
    const sizes = { storageBytes: store.bytes, tables: store.sizes(), memoryBytes, files: files.tables.totals() };
    const figures = { sockets: this.#ctx.getWebSockets().length, ...sizes };
    return json(statusOf(host.status(), { ...figures, instance: this.#instance }));
  }
}

async function outcomeOf<T>(answer: () => Promise<T>): Promise<Outcome<T>> {
  try {
    return { ok: await answer() };
  } catch (error) {
    const { code, message } = toHeadwaterError(told(error), "INTERNAL", "the node failed");
    return { error: { code, message } };
  }
}

/** What was not meant to happen is told to whoever runs the worker. */
function told(error: unknown): unknown {
  if (!(error instanceof HeadwaterError)) console.error("headwater:", error);
  return error;
}
