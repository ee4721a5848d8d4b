// One replica of the demo: a database with its own origin and its own storage, which can be cut off, closed and opened
// again. It holds the board and the receipts of its writes; how they look is for the views.

import { type Database, type DatabaseStatus, open, type Receipt } from "headwater";
import { Board, BOARD_DOC } from "./board.ts";
import { coalesced, describe } from "./dom.ts";
import { type About, Writes } from "./writes.ts";

export const DATABASE = "demo-board";
const SEED_TIMEOUT_MS = 5_000;

export type ReplicaId = "laptop" | "phone";

interface Events {
  /** Another board stands here: views take their handles anew. */
  opened: () => void;
  board: () => void;
  writes: () => void;
  status: () => void;
}

export class Replica {
  readonly id: ReplicaId;
  readonly name: string;
  readonly writes = new Writes(() => this.#tell("writes"));
  db: Database | undefined;
  board: Board | undefined;
  /** The last error, in words; empty when there is none. */
  notice = "";
  #online: boolean;
  #isOpening = false;
  #listeners: { [E in keyof Events]: Set<Events[E]> } = {
    opened: new Set(),
    board: new Set(),
    writes: new Set(),
    status: new Set(),
  };

  constructor(id: ReplicaId, name: string) {
    this.id = id;
    this.name = name;
    // A page that is reloaded with a cable cut comes back with the cable cut.
    this.#online = sessionStorage.getItem(`cut-${id}`) === null;
  }

  on<E extends keyof Events>(event: E, f: Events[E]): void {
    this.#listeners[event].add(f);
  }

  get isOnline(): boolean {
    return this.#online;
  }

  /** `opening` until there is a database, `closed` if it could not be opened. */
  get phase(): string {
    return this.db?.status.phase ?? (this.#isOpening ? "opening" : "closed");
  }

  get status(): DatabaseStatus | undefined {
    return this.db?.status;
  }

  /** Unknown while it is being opened. */
  get pending(): number | undefined {
    return this.db?.pending.count;
  }

  /** Opens it for the first time, or again after that failed. */
  async open(): Promise<void> {
    this.#isOpening = true;
    await this.attempt(() => this.#open());
    this.#isOpening = false;
    this.#tell("status");
  }

  async #open(): Promise<void> {
    const url = location.origin.replace(/^http/, "ws");
    const db = await open(DATABASE, { url, name: this.id, concern: "leader", connect: this.#online });
    const status = coalesced(() => {
      if (this.db !== db) return;
      this.writes.pendingIs(db.pending.count);
      this.#tell("status");
    });
    db.on("status", status);
    db.on("pending", status);
    const board = new Board(await db.doc(BOARD_DOC));
    board.observe(coalesced(() => this.board === board && this.#tell("board")));
    this.db = db;
    this.board = board;
    this.say("");
    this.writes.reopened(db.pending.receipts());
    for (const event of ["opened", "board", "status"] as const) this.#tell(event);
  }

  /** Closes the replica and opens it from its storage, as reloading a page would. */
  async reload(): Promise<void> {
    if (this.#isOpening) return;
    this.#isOpening = true;
    const { db } = this;
    this.db = undefined;
    this.board = undefined;
    this.#tell("status");
    await this.attempt(async () => db?.close());
    await this.open();
  }

  setOnline(online: boolean): void {
    this.#online = online;
    if (online) {
      sessionStorage.removeItem(`cut-${this.id}`);
      this.db?.connect();
    } else {
      sessionStorage.setItem(`cut-${this.id}`, "");
      this.db?.disconnect();
    }
    this.#tell("status");
  }

  /** Changes the board in one transaction and follows its receipt. */
  write(about: About, change: (board: Board) => void): Receipt | undefined {
    const { board } = this;
    if (board === undefined) {
      this.say("CLOSED: the replica is being opened; try again in a moment");
      return undefined;
    }
    try {
      const receipt = board.doc.transact(() => change(board));
      this.writes.add(receipt, about);
      this.say("");
      return receipt;
    } catch (error) {
      this.say(describe(error));
      return undefined;
    }
  }

  /** Seeds the board unless it ever was, by what the leader says and not by what happens to be here. */
  async seed(): Promise<void> {
    const { db } = this;
    if (db === undefined || this.board?.isSeeded !== false) return;
    await db.session().read(BOARD_DOC, () => undefined, { consistency: "strong", timeoutMs: SEED_TIMEOUT_MS });
    if (this.board?.isSeeded === false) this.write({ what: "The first three cards" }, (board) => board.seed());
  }

  /** Runs `f`; what goes wrong is shown. */
  async attempt(f: () => Promise<void>): Promise<void> {
    try {
      await f();
    } catch (error) {
      this.say(describe(error));
    }
  }

  say(notice: string): void {
    if (this.notice === notice) return;
    this.notice = notice;
    this.#tell("status");
  }

  #tell(event: keyof Events): void {
    for (const f of this.#listeners[event]) f();
  }
}
