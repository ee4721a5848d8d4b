/** The `LeaseStore` in Durable Objects: one `HeadwaterCoordinator` per database. It knows their requests, not their tables. */

import { HeadwaterError, malformed } from "../../errors.js";
import { bodyOf } from "../body.js";
import type { EdgeNamespace } from "../cloudflare.js";
import { within } from "../within.js";
import {
  checkDatabase,
  checkExpected,
  type HeldLease,
  isRevision,
  LEASE_CALL_MS_MAX,
  LEASE_RECORD_BYTES_MAX,
  type LeaseCallOptions,
  type LeaseStore,
  type LeaseSwap,
  recordBytes,
  recordText,
} from "./lease-store.js";

/** The object takes any address, since it has one record. */
const ADDRESS = "https://coordinator/";
const NAME = "the coordinator object";

/**
 * Keeps the records of all databases of a worker, each in an object of its own.
 *
 * ```ts
 * export { HeadwaterCoordinator } from "headwater/worker";
 * const leases = new DurableObjectLeaseStore(env.HEADWATER_COORDINATOR);
 * ```
 */
export class DurableObjectLeaseStore implements LeaseStore {
  readonly #namespace: EdgeNamespace;

  /** Takes the binding to the namespace of `HeadwaterCoordinator`. */
  constructor(namespace: EdgeNamespace) {
    if (typeof namespace?.idFromName !== "function") {
      throw malformed("a DurableObjectLeaseStore takes the binding to a namespace of HeadwaterCoordinator");
    }
    this.#namespace = namespace;
  }

  /** {@inheritDoc LeaseStore.read} */
  async read(database: string, { signal }: LeaseCallOptions = {}): Promise<HeldLease | undefined> {
    checkDatabase(database);
    return this.#ask(database, { method: "GET" }, signal, async (response) => {
      if (response.status === 404) return undefined;
      if (response.status === 200) return heldBy(response);
      throw await unexpected(response);
    });
  }

  /** {@inheritDoc LeaseStore.swap} */
  async swap(
    database: string,
    expected: string | undefined,
    record: string,
    { signal }: LeaseCallOptions = {},
  ): Promise<LeaseSwap> {
    checkDatabase(database);
    checkExpected(expected);
    const headers: Record<string, string> =
      expected === undefined ? { "if-none-match": "*" } : { "if-match": `"${expected}"` };
    return this.#ask(database, { method: "PUT", headers, body: recordBytes(record) }, signal, async (response) => {
      if (response.status === 204) return { swapped: true, revision: revisionOf(response) };
      if (response.status !== 412) throw await unexpected(response);
      return { swapped: false, current: response.headers.has("etag") ? await heldBy(response) : undefined };
    });
  }

  #ask<T>(
    database: string,
    init: RequestInit,
    signal: AbortSignal | undefined,
    parse: (response: Response) => Promise<T>,
  ): Promise<T> {
    return within(NAME, LEASE_CALL_MS_MAX, signal, async (signal) => {
      // A stub each time: one whose object has failed stays broken.
      const object = this.#namespace.get(this.#namespace.idFromName(database) as never);
      return parse(await object.fetch(new Request(ADDRESS, { ...init, signal })));
    });
  }
}

async function heldBy(response: Response): Promise<HeldLease> {
  const revision = revisionOf(response);
  return { record: await textOf(response), revision };
}

function revisionOf({ headers }: Response): string {
  const etag = headers.get("etag");
  const revision = etag?.match(/^"(.*)"$/)?.[1];
  if (isRevision(revision)) return revision;
  throw new HeadwaterError("STORAGE_UNAVAILABLE", `${NAME} answered the revision ${JSON.stringify(etag)}`);
}

async function textOf(response: Response): Promise<string> {
  return recordText(await bodyOf(response, LEASE_RECORD_BYTES_MAX, `what ${NAME} answered`, "STORAGE_UNAVAILABLE"));
}

/** What we sent was checked, so whatever it complains of is its own failure. */
async function unexpected(response: Response): Promise<HeadwaterError> {
  const text = (await textOf(response)).slice(0, 200);
  return new HeadwaterError("STORAGE_UNAVAILABLE", `${NAME} answered ${response.status}: ${text}`);
}
