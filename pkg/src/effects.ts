/** What the machines in wasm ask of their host, in the shapes that `poll` answers. Types only. */

import type { PlainError } from "./errors.js";
import type { Conflict } from "./types.js";

/** One change of storage; without a value it deletes the row, and with `to` all rows from `key` on that are below it. */
export interface StoreOp {
  readonly table: string;
  readonly key: Uint8Array<ArrayBuffer>;
  readonly value?: Uint8Array<ArrayBuffer>;
  readonly to?: Uint8Array<ArrayBuffer>;
}

/** A row that must not be there for a commit to be made. */
export interface Guard {
  readonly table: string;
  readonly key: Uint8Array<ArrayBuffer>;
}

/** Commit all changes or none, then answer `persisted`; where the guarded row is there commit none, and answer `fenced`. */
export interface PersistEffect {
  readonly type: "persist";
  readonly token: number;
  readonly ops: readonly StoreOp[];
  /** Only replicas have it. */
  readonly guard?: Guard;
}

/** Read rows, then answer `scanned`. */
export interface ScanEffect {
  readonly type: "scan";
  readonly token: number;
  readonly table: string;
  readonly from: Uint8Array<ArrayBuffer>;
  /** The first key that does not count any more. */
  readonly to?: Uint8Array<ArrayBuffer>;
  /** The most rows. */
  readonly rows?: number;
  /** The weight after which no further row is added. */
  readonly bytes?: number;
}

/** Tell of conflicts in a document. */
export interface ConflictsEffect {
  readonly type: "conflicts";
  readonly doc: string;
  readonly conflicts: readonly Omit<Conflict, "doc">[];
}

/** What a replica asks for. */
export type ReplicaEffect =
  | PersistEffect
  | ScanEffect
  | { readonly type: "connect"; readonly attempt: number }
  | { readonly type: "disconnect" | "ping" }
  | { readonly type: "ready" | "changed" }
  | { readonly type: "send" | "tellTabs"; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: "steal" }
  | { readonly type: "watchTab"; readonly origin: bigint }
  | { readonly type: "loaded" | "rebuilt"; readonly doc: string }
  | { readonly type: "unloadable"; readonly doc: string; readonly error: PlainError }
  | DamagedEffect
  | { readonly type: "progress"; readonly doc: string; readonly received: number; readonly total: number }
  | { readonly type: "applied"; readonly docs: readonly string[] }
  | ConflictsEffect
  | { readonly type: "done"; readonly id: number; readonly error?: PlainError }
  | PeerEffect
  | { readonly type: "signalled"; readonly from: bigint; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: "fatal"; readonly error: PlainError };

/** Rows did not read back, and the replica goes on without them. */
export interface DamagedEffect {
  readonly type: "damaged";
  /** The document that comes from the leader again, if it is one. */
  readonly doc?: string;
  /** Rows of unsent writes that are lost. */
  readonly lostRows: number;
  readonly error: PlainError;
}

/** What a replica asks for at the port of a peer. */
export type PeerEffect =
  | { readonly type: "sendPeer"; readonly peer: number; readonly bytes: Uint8Array<ArrayBuffer> }
  /** After all that was sent. */
  | { readonly type: "closePeer"; readonly peer: number; readonly error?: PlainError }
  /** Have the application decide on the other side's token, then answer `peerApproved`. */
  | { readonly type: "askPeer"; readonly peer: number; readonly token?: string };

/** What `Replica.peers` answers for each replica that is known. */
export interface PeerRow {
  readonly replica: string;
  /** The number of its port, if there is a direct one. */
  readonly peer?: number;
  readonly behind: number;
}

/** What a node asks for. */
export type NodeEffect =
  | PersistEffect
  | ScanEffect
  | { readonly type: "send"; readonly conn: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: "close"; readonly conn: number; readonly code: number; readonly reason: string }
  | { readonly type: "attach"; readonly conn: number; readonly state: Uint8Array<ArrayBuffer> }
  | AnswerEffect
  /** A page of names; an empty one is the end. */
  | { readonly type: "docs"; readonly id: number; readonly names: readonly string[] }
  | GroupEffect
  | { readonly type: "failed"; readonly error: PlainError };

/** What a node in a group asks for besides. */
export type GroupEffect =
  | CallEffect
  | { readonly type: "reply"; readonly call: number; readonly bytes: Uint8Array<ArrayBuffer> }
  | { readonly type: "readRecord"; readonly token: number }
  | { readonly type: "swapRecord"; readonly token: number; readonly expected?: string; readonly text: string }
  | AdminDoneEffect
  | EventEffect;

/** Ask another member something, then answer `answered` within the time. */
export interface CallEffect {
  readonly type: "call";
  readonly call: number;
  readonly to: string;
  readonly address: string;
  readonly bytes: Uint8Array<ArrayBuffer>;
  readonly timeoutMs: number;
}

/** The end of an operator's command: an error, or what it did. */
export interface AdminDoneEffect {
  readonly type: "adminDone";
  readonly id: number;
  readonly error?: PlainError;
  readonly epoch?: number;
  readonly leader?: string;
  readonly pauseMs?: number;
}

/** Something that an operator wants to hear of, with figures by name. */
export interface EventEffect {
  readonly type: "event";
  readonly event: "role" | "tail-merged" | "loss-window" | "lag" | "isolated";
  readonly [figure: string]: string | number | boolean;
}

/** The end of a query. */
export interface AnswerEffect {
  readonly type: "answer";
  readonly id: number;
  readonly error?: PlainError;
  readonly bookmark?: string;
  readonly json?: string;
  readonly update?: Uint8Array<ArrayBuffer>;
}

/** What `Replica.status` answers. */
export interface ReplicaStatus {
  readonly phase: "local-only" | "offline" | "connecting" | "live" | "blocked";
  readonly member?: string;
  readonly memberRole?: "leader" | "follower" | "candidate";
  readonly epoch?: bigint;
  readonly generation: bigint;
  readonly entries: number;
  readonly staleness?: number;
  readonly isStored: boolean;
  readonly tab: "alone" | "holder" | "member";
  readonly error?: PlainError;
}

/** What `Replica.pending` answers. */
export interface ReplicaPending {
  readonly count: number;
  readonly bytes: number;
  readonly oldestUnixMs?: number;
}

/** What `Replica.noteRead` answers. */
export interface ReadNote {
  readonly bookmark: string;
  readonly entries: number;
  readonly staleness?: number;
}

/** What `Node.status` answers. */
export interface NodeStatus {
  readonly isLoaded: boolean;
  readonly generation: bigint;
  readonly epoch: bigint;
  readonly lsn: bigint;
  readonly connections: number;
  readonly rowsCommitted: bigint;
  readonly entriesCommitted: bigint;
  readonly compacted: CompactionStatus;
  readonly failure?: PlainError;
  readonly group?: GroupStatus;
}

/** What a node says of how its storage is compacted. */
export interface CompactionStatus {
  readonly folded: Held;
  readonly trimmed: Held;
  readonly unfoldedEntries: number;
  readonly folds: number;
  readonly squashes: number;
  readonly givenUp: number;
}

/** How far logs are held: the last LSN of each epoch. */
export type Held = Readonly<Record<string, number>>;

/** What a node in a group says of it. */
export interface GroupStatus {
  readonly me: string;
  readonly role: "leader" | "follower" | "candidate";
  readonly leader?: string;
  readonly promised: number;
  readonly quorum: number;
  readonly stable: Held;
  readonly held: Held;
  readonly visible: Held;
  readonly stalenessMs?: number;
  readonly isIsolated: boolean;
  readonly members: readonly MemberStatus[];
  readonly mergedEntries: number;
  readonly elections: number;
  readonly topology: "single-leader" | "multi-leader";
  /** Of several leaders, whose epoch is whose. */
  readonly leads: Readonly<Record<string, number>>;
  readonly losses: readonly { readonly epoch: number; readonly after: number; readonly unixMs: number }[];
}

/** How far another member is, as the node knows. */
export interface MemberStatus {
  readonly name: string;
  readonly isVoter: boolean;
  readonly isConnected: boolean;
  readonly written: Held;
  readonly durable: Held;
  readonly applied: Held;
  readonly lagEntries: number;
  readonly lagBytes: number;
  readonly lagMs?: number;
}
