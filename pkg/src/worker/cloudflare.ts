/**
 * As much of the Workers platform as is used, by shape. Declared here, so that the package's types stand alone, with
 * or without those that Cloudflare publishes.
 */

/** A hibernatable WebSocket. */
export interface EdgeSocket {
  send(data: string | Uint8Array): void;
  close(code?: number, reason?: string): void;
  serializeAttachment(attachment: unknown): void;
  deserializeAttachment(): unknown;
}

/** A Durable Object's SQLite. */
export interface EdgeSql {
  exec<Row extends object>(query: string, ...bindings: unknown[]): Iterable<Row>;
  readonly databaseSize: number;
}

/** A Durable Object's context. */
export interface EdgeContext {
  readonly id: unknown;
  readonly storage: {
    readonly sql: EdgeSql;
    transactionSync<T>(f: () => T): T;
    /** Resolves once everything that was written is on disk. */
    sync(): Promise<void>;
    /** Has the object woken, if it sleeps by then, and its `alarm` called. */
    setAlarm(unixMs: number): Promise<void>;
  };
  acceptWebSocket(socket: EdgeSocket, tags?: string[]): void;
  getWebSockets(tag?: string): EdgeSocket[];
  setWebSocketAutoResponse(pair: unknown): void;
  /** Ends this instance; the next request makes another one. */
  abort(reason?: string): void;
}

/** A Durable Object as others see it. */
export interface EdgeStub {
  fetch(request: Request): Promise<Response>;
}

/** A namespace of Durable Objects. */
export interface EdgeNamespace<Stub extends EdgeStub = EdgeStub> {
  idFromName(name: string): unknown;
  get(id: never, options?: { readonly locationHint: string }): Stub;
}

/** Classes that the platform has as globals. */
export interface EdgeGlobals {
  WebSocketPair: new () => { 0: EdgeSocket; 1: EdgeSocket };
  WebSocketRequestResponsePair: new (request: string, response: string) => unknown;
}

/** The globals of the platform. */
export const edge = globalThis as unknown as EdgeGlobals;
