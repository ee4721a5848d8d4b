/**
 * `HeadwaterCoordinator`: the Durable Object that keeps one database's coordinator record. It compares and sets, and
 * does not know what the record means, nor which database it is of.
 *
 * It is asked over HTTP, by `DurableObjectLeaseStore` alone; `route` never passes a request on to it.
 *
 * | request | answer |
 * |---|---|
 * | `GET` | 200 with the record, its revision as `etag`; 404 if there is none |
 * | `PUT` with `if-match: "REVISION"`, or `if-none-match: *` where there is none yet | 204 with the new `etag`; 412 as `GET` answers, without an `etag` if there is no record |
 *
 * Other answers say `{ code, message }`.
 */

import { HeadwaterError, malformed } from "../../errors.js";
import { Base } from "../base.js";
import type { EdgeContext } from "../cloudflare.js";
import { failure } from "../http.js";
import { isRevision, LEASE_RECORD_BYTES_MAX } from "./lease-store.js";

interface Row {
  readonly revision: number;
  readonly record: ArrayBuffer;
}

/** One database's coordinator record. Export it from your worker, and bind its namespace as `HEADWATER_COORDINATOR`. */
export class HeadwaterCoordinator extends Base {
  readonly #storage: EdgeContext["storage"];

  /** Called by the platform. */
  constructor(ctx: EdgeContext, env: unknown) {
    super(ctx, env);
    this.#storage = ctx.storage;
  }

  /** Called by the platform. */
  async fetch(request: Request): Promise<Response> {
    try {
      const response = await this.#answer(request);
      // For reads as well: what one was told must not be gone after a restart.
      await this.#storage.sync();
      return response;
    } catch (error) {
      if (!(error instanceof HeadwaterError)) console.error("headwater: the coordinator failed:", error);
      return failure(error);
    }
  }

  async #answer(request: Request): Promise<Response> {
    switch (request.method) {
      case "GET":
        return held(this.#read(), 200, 404);
      case "PUT": {
        const expected = expectedBy(request.headers);
        const record = await request.arrayBuffer();
        if (record.byteLength > LEASE_RECORD_BYTES_MAX) {
          throw new HeadwaterError("TOO_LARGE", `a lease record has at most ${LEASE_RECORD_BYTES_MAX} bytes`);
        }
        return this.#swap(expected, record);
      }
      default:
        throw malformed(`${request.method} is not known here; use GET or PUT`);
    }
  }

  /** Reading makes no table: a question after a database must not make one. */
  #read(): Row | undefined {
    const { sql } = this.#storage;
    const [table] = sql.exec("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = 'lease'");
    if (table === undefined) return undefined;
    const [row] = sql.exec<Row>("SELECT revision, record FROM lease");
    return row;
  }

  /** From the comparison to the write nothing is awaited, so nobody comes between them. */
  #swap(expected: string | undefined, record: ArrayBuffer): Response {
    const { sql } = this.#storage;
    return this.#storage.transactionSync(() => {
      const current = this.#read();
      if (current?.revision.toString() !== expected) return held(current, 412, 412);
      const revision = (current?.revision ?? 0) + 1;
      sql.exec("CREATE TABLE IF NOT EXISTS lease (id INTEGER PRIMARY KEY, revision INTEGER NOT NULL, record BLOB NOT NULL)");
      sql.exec("INSERT OR REPLACE INTO lease (id, revision, record) VALUES (1, ?, ?)", revision, record);
      return new Response(null, { status: 204, headers: { etag: `"${revision}"` } });
    });
  }
}

function held(row: Row | undefined, status: number, statusWithout: number): Response {
  if (row === undefined) return new Response(null, { status: statusWithout });
  return new Response(row.record, { status, headers: { etag: `"${row.revision}"` } });
}

function expectedBy(headers: Headers): string | undefined {
  if (headers.get("if-none-match") === "*" && !headers.has("if-match")) return undefined;
  const revision = headers.get("if-match")?.match(/^"(.*)"$/)?.[1];
  if (isRevision(revision) && !headers.has("if-none-match")) return revision;
  throw malformed('a swap has either if-match: "REVISION" or if-none-match: *');
}
