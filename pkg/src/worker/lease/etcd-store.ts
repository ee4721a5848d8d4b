/**
 * The `LeaseStore` in etcd, over the JSON gateway of its v3 API: one key per database, changed by transactions that
 * compare the key's revision. It uses neither etcd's leases nor its locks, and knows of HTTP only what `etcd-gateway`
 * gives it.
 */

import { HeadwaterError } from "../../errors.js";
import { known, optional } from "../../options.js";
import { fromBase64, toBase64 } from "./base64.js";
import { EtcdGateway, type EtcdOptions } from "./etcd-gateway.js";
import {
  checkDatabase,
  checkExpected,
  type HeldLease,
  isRevision,
  type LeaseCallOptions,
  type LeaseStore,
  type LeaseSwap,
  recordBytes,
  recordText,
} from "./lease-store.js";

/** What keys begin with unless it is said otherwise. */
const PREFIX = "headwater/";

/** What an `EtcdLeaseStore` takes. */
export interface EtcdLeaseStoreOptions extends EtcdOptions {
  /** What the keys begin with, before the database's name; `headwater/` by default. */
  readonly prefix?: string | undefined;
}

/** As much as is read of an answer, before it is checked. */
interface Answer {
  readonly header?: { readonly revision?: unknown };
  readonly kvs?: unknown;
  readonly succeeded?: unknown;
  readonly responses?: readonly [{ readonly response_put?: object; readonly response_range?: { readonly kvs?: unknown } }?];
}

/**
 * Keeps the records of all databases in one etcd cluster, 3.4 or later.
 *
 * ```ts
 * const leases = new EtcdLeaseStore({ endpoints: ["http://10.0.0.1:2379", "http://10.0.0.2:2379"] });
 * ```
 */
export class EtcdLeaseStore implements LeaseStore {
  readonly #gateway: EtcdGateway;
  readonly #prefix: string;

  /** Asks nothing yet. */
  constructor(options: EtcdLeaseStoreOptions) {
    known(options, ["endpoints", "prefix", "username", "password", "headers"], "EtcdLeaseStore");
    optional(options.prefix, "string", "prefix");
    this.#gateway = new EtcdGateway(options);
    this.#prefix = options.prefix ?? PREFIX;
  }

  /** {@inheritDoc LeaseStore.read} */
  async read(database: string, { signal }: LeaseCallOptions = {}): Promise<HeldLease | undefined> {
    checkDatabase(database);
    // Not `serializable`, hence linearizable: the leader of etcd asks a majority whether it still is.
    const request = { key: this.#key(database), serializable: false };
    const { answer } = await this.#gateway.ask("/v3/kv/range", request, signal, (answer: Answer) => {
      revisionOf(answer);
      return held(answer.kvs);
    });
    return answer;
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
    const key = this.#key(database);
    const condition =
      expected === undefined
        ? { target: "CREATE", create_revision: "0" }
        : { target: "MOD", mod_revision: expected };
    const request = {
      compare: [{ key, result: "EQUAL", ...condition }],
      success: [{ request_put: { key, value: toBase64(recordBytes(record)) } }],
      failure: [{ request_range: { key, serializable: false } }],
    };
    // Another endpoint may be asked the same: the comparison lets it happen once at most.
    const { answer, mayHaveHappened } = await this.#gateway.ask("/v3/kv/txn", request, signal, swapOf);
    // Made by an attempt that was not answered, and replaced since? Then a refusal would be a lie.
    if (mayHaveHappened && !answer.swapped && answer.current?.record !== record) {
      const message = "an etcd endpoint failed in the middle of a swap, and now another record is there; read again";
      throw new HeadwaterError("STORAGE_UNAVAILABLE", message);
    }
    return answer;
  }

  #key(database: string): string {
    return toBase64(new TextEncoder().encode(this.#prefix + database));
  }
}

function swapOf(answer: Answer): LeaseSwap {
  const revision = revisionOf(answer);
  const response = answer.responses?.[0];
  if (answer.succeeded === true && response?.response_put !== undefined) return { swapped: true, revision };
  // What is false is left out.
  if (answer.succeeded !== true && response?.response_range !== undefined) {
    return { swapped: false, current: held(response.response_range.kvs) };
  }
  throw strange("neither of the two outcomes of a transaction");
}

/** The revision of the whole store, which after a swap is that of the key. No answer of etcd lacks it. */
function revisionOf({ header }: Answer): string {
  const revision = header?.revision;
  if (isRevision(revision)) return revision;
  throw strange("no revision");
}

/** Nothing is left out as well. */
function held(kvs: unknown = []): HeldLease | undefined {
  if (!Array.isArray(kvs)) throw strange("no list of keys");
  if (kvs.length === 0) return undefined;
  const { value = "", mod_revision: revision } = kvs[0] as { value?: unknown; mod_revision?: unknown };
  if (typeof value !== "string" || !isRevision(revision)) throw strange("a key without a value or a revision");
  return { record: recordText(fromBase64(value)), revision };
}

function strange(what: string): HeadwaterError {
  return new HeadwaterError("STORAGE_UNAVAILABLE", `etcd answered ${what}`);
}
