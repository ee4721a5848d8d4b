/** The options and answers of the public API. Types only. */

import type { HeadwaterError } from "./errors.js";
import type { StorageInfo } from "./store/store.js";

/** How far a write has come. Later stages include the earlier ones. */
export type Stage =
  /** In the local document, nowhere else. */
  | "applied"
  /** In local storage, flushed to the device. Storage in memory never gets there: it skips this stage. */
  | "local"
  /** Committed by the leader. In a group it can still be lost with its leader, until a quorum has it. */
  | "leader"
  /** Committed by a quorum of the voters: no failover loses it. With a single leader that is the leader. */
  | "quorum"
  /** Committed by every voter. */
  | "all";

/** When a write counts as done. It never becomes less by itself: see {@link Degrade}. */
export type Concern =
  | Stage
  /** So many members of the group hold it, the leader and observers among them. */
  | number
  /** So many of the named members hold it, whichever they are. */
  | { readonly any: readonly string[]; readonly n: number }
  /** The first so many of the named members that are connected hold it. */
  | { readonly first: readonly string[]; readonly n: number }
  /** So many other replicas hold it durably, directly connected or not: with or without a leader. See {@link Database.connectPeer}. */
  | { readonly peers: number };

/**
 * What to be content with when a concern is not met in time. Whoever waits for a write's own concern is told what was met;
 * the database tells it as `degraded`, and counts it.
 */
export interface Degrade {
  /** The stage that is enough then. */
  readonly to: Stage;
  /** For how many milliseconds {@link Receipt.reached} waits for nothing less than the concern. */
  readonly afterMs: number;
}

/** What `open` takes. It waits 30 seconds by default, for the wasm and for local storage, and never for the leader. */
export interface OpenOptions extends WaitOptions {
  /**
   * Where the leader is, `https:`, `wss:`, `http:` or `ws:`; or the nodes of a group, which are tried in this order, each for
   * as long as it answers. Without it the database is local only.
   */
  readonly url?: string | readonly string[] | undefined;
  /**
   * Where the local copy is kept. By default in the browser's IndexedDB, every commit flushed to the device; it is an
   * error where that is not to be had. `"memory"` keeps it in memory: nothing survives the page or the process.
   */
  readonly storage?: "memory" | StorageOptions | undefined;
  /** When writes count as done, unless they say otherwise. `"leader"` by default; without a url, what storage gives. */
  readonly concern?: Concern | undefined;
  /** What writes may be content with when their concern is not met in time. Nothing less, by default. */
  readonly degrade?: Degrade | null | undefined;
  /** The name of the local copy among those of this database. Two names are two replicas. */
  readonly name?: string | undefined;
  /**
   * Whether it shares one connection, and the work on storage, with the other tabs that have the same local copy open:
   * `"shared"` by default. With `"alone"` it connects by itself, and hears of what they write from the leader only. It is
   * alone anyway with storage in memory, and in browsers without Web Locks: {@link DatabaseStatus.tab} says so.
   */
  readonly tabs?: "shared" | "alone" | undefined;
  /** Whether to connect at once; `true` by default. See {@link Database.connect}. */
  readonly connect?: boolean | undefined;
  /** How files are kept here. See {@link Database.files}. */
  readonly files?: FilesOptions | undefined;
}

/** Local copies of files. */
export interface FilesOptions {
  /**
   * What the copies may weigh together, 1 GiB by default. Those that were not used for longest are evicted, and of them only
   * what the leader's side keeps. A file that does not fit is read without being kept.
   */
  readonly quotaBytes?: number | undefined;
}

/** Storage that survives. */
export interface StorageOptions {
  /** A write is `local` when the device has it, not when the operating system has it. */
  readonly durability?: "strict" | undefined;
  /** Whether to ask the browser not to evict this site's storage; `true` by default. Some browsers ask their user. */
  readonly persist?: boolean | undefined;
}

/** How long to wait, and who may end it. */
export interface WaitOptions {
  /** After so many milliseconds it ends with `TIMEOUT`, or `OFFLINE` if there is no connection then. */
  readonly timeoutMs?: number | undefined;
  /** Ends it with `ABORTED`. */
  readonly signal?: AbortSignal | undefined;
}

/** What `transact` takes. */
export interface TransactOptions {
  /** When this write counts as done. The database's by default. */
  readonly concern?: Concern | undefined;
  /** How long its receipt waits for a concern unless told otherwise; 30 seconds by default. */
  readonly timeoutMs?: number | undefined;
  /** What it may be content with when its concern is not met in time; `null` is nothing less. The database's by default. */
  readonly degrade?: Degrade | null | undefined;
  /** Anything by which to recognise the write in its receipt and in the document's `change` event. */
  readonly origin?: unknown;
}

/** What a read asks for. */
export type Consistency =
  /** Whatever is here. */
  | "eventual"
  /** Everything the session has written and read. */
  | "session"
  /** What the leader held at most that long ago. */
  | { readonly maxStalenessMs: number }
  /** Everything acknowledged before the read began. */
  | "strong";

/** What `session.read` takes. */
export interface ReadOptions extends WaitOptions {
  /** `"session"` by default. */
  readonly consistency?: Consistency | undefined;
  /** Whether to throw when the time is over, or to read what is here and say so. `"throw"` by default. */
  readonly onTimeout?: "throw" | "stale" | undefined;
}

/** How far behind the leader. */
export interface Lag {
  /** Entries of the leader's log that are not here yet, as far as is known. */
  readonly entries: number;
  /** For how long at most the copy may have been out of date, by this host's clock; `null` while nothing proves it. */
  readonly ms: number | null;
}

/** What a read was worth. */
export interface ReadMeta {
  /** The consistency that was asked for. */
  readonly asked: Consistency;
  /** The consistency that was given: what was asked for, or `"eventual"` after a time-out. */
  readonly met: Consistency;
  /** The session's bookmark, with this read in it. */
  readonly bookmark: string;
  /** How far behind the leader the document was. */
  readonly lag: Lag;
  /** Who answered. */
  readonly servedBy: "local";
  /** Writes that were not settled; the read shows them. */
  readonly pending: number;
}

/** What a read answers. */
export interface ReadResult<T> {
  /** What the function answered. */
  readonly value: T;
  /** What it was worth. */
  readonly meta: ReadMeta;
}

/**
 * A value of a map's key that lost against another one: both were set without knowing each other, and a map shows one value.
 * Every replica that has the document open learns of it when the second of the two arrives. What replaces a value that its
 * writer had before them is no conflict, and a deletion is none.
 */
export interface Conflict {
  /** The document. */
  readonly doc: string;
  /** The way to the map in the document: the name of the root type, then keys into maps and indexes into arrays. */
  readonly path: readonly (string | number)[];
  /** The key in the map. */
  readonly key: string;
  /** What the document shows, the same everywhere once everything has arrived. */
  readonly winner: ConflictSide;
  /** What it does not show. Of several values that one writer set one after the other it is the last. */
  readonly loser: ConflictSide;
}

/** One of the two values in a {@link Conflict}. */
export interface ConflictSide {
  /**
   * What was set: `plain` data, which is in `value`, or a shared type. `absent` if there is nothing: a winner was deleted;
   * a loser was deleted before it lost, or arrived in a snapshot that was made when it had already lost.
   */
  readonly kind: "plain" | "map" | "array" | "text" | "absent";
  /** The plain data; `undefined` for all else. */
  readonly value: unknown;
  /** The opening of a replica that set it, as 16 hexadecimal digits, where that is known. */
  readonly origin: string | null;
  /** The Yjs client id under which it was set. */
  readonly client: number;
}

/** Something that happened to what is kept here, and what it cost. What a leader holds comes back from it by itself. */
export interface StorageIncident {
  /**
   * `evicted`: there was storage when the database was last open, and it is gone: the browser, or the user, has cleared it.
   * `deleted`: the same, while it was open; it was made anew from memory. `rolled-back`: it is an older copy of what it was.
   * `damaged`: rows do not read back; see `doc`. `trapped`: the WebAssembly instance died and was made anew from storage.
   */
  readonly cause: "evicted" | "deleted" | "rolled-back" | "damaged" | "trapped";
  /** The only document that is concerned, if it is one. */
  readonly doc: string | null;
  /**
   * Unsent writes that are gone, as far as that is known: after `evicted` and `rolled-back` as many as were noted last, some
   * of which may have been sent since; after `damaged` at least so many; after `trapped` those that were not in storage yet, which may have been sent.
   */
  readonly lost: { readonly writes: number } | null;
  /** What was thrown, if something was. */
  readonly error: HeadwaterError | null;
  /** When it was noticed. */
  readonly at: Date;
}

/** Where the database stands. */
export interface DatabaseStatus {
  /**
   * `local-only`: there is no leader. `offline`: waiting to try again, or told not to connect. `blocked`: trying again
   * would not help, see `error`. `restoring`: the instance died, or its storage was deleted, and a new one reads what is
   * stored; until then every call throws `error`. `fatal`: the instance is dead, open the database again.
   */
  readonly phase: "local-only" | "offline" | "connecting" | "live" | "blocked" | "restoring" | "fatal" | "closed";
  /** What this copy of the database is. */
  readonly role: "replica";
  /** The name of the group's node that it is connected to; `null` while not connected, or without a group. */
  readonly member: string | null;
  /** What that node was in its group when it welcomed this copy. */
  readonly memberRole: "leader" | "follower" | "candidate" | null;
  /** The leader's tenure, while connected. */
  readonly epoch: number | null;
  /** Which life of the leader's storage this is a copy of; `null` before a leader has told it. */
  readonly generation: string | null;
  /** How far behind the leader the live documents are. */
  readonly lag: Lag;
  /** How many waits have been content with less than their concern since the database was opened. */
  readonly degraded: number;
  /** Whether everything that is known here is in local storage. */
  readonly isStored: boolean;
  /**
   * What this opening is to the others of the same local copy, in other tabs or in this one. The `holder` has the connection
   * and stores what arrives on it; a `member` writes and reads through the same storage and hears from the holder, and takes
   * over when that is closed, crashes or freezes. Everything else here is the same for all of them. `alone` shares nothing;
   * `null` when it is closed or dead.
   */
  readonly tab: "holder" | "member" | "alone" | null;
  /** Where the local copy is kept; `null` until the browser has told. */
  readonly storage: StorageInfo | null;
  /** What happened last to what is kept here, since the database was opened or between that and the time before. */
  readonly incident: StorageIncident | null;
  /** Why it does not sync, or does not store. */
  readonly error: HeadwaterError | null;
}

/** What a bookmark names. */
export interface BookmarkDescription {
  /** Which life of the database's storage. */
  readonly generation: string;
  /** Epochs and places in their logs. */
  readonly epochs: readonly (readonly [epoch: string, lsn: string])[];
  /** Openings of replicas and their writes. */
  readonly origins: readonly (readonly [origin: string, seq: string])[];
}
