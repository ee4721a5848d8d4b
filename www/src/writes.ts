// What became of the latest writes: a short list of receipts in words, and which cards wait for the leader. A row
// stands for one write or for a run of typing. Knows nothing of the DOM.

import type { Receipt } from "headwater";
import { codeOf } from "./dom.ts";
import { isAtLeader } from "./stages.ts";

const ROWS_MAX = 5;
/** Keystrokes that follow each other faster than this share a row. */
const RUN_MS_MAX = 1_500;

export interface Row {
  readonly key: number;
  readonly what: string;
  count: number;
  stage: string;
  /** Why it was rejected. */
  code: string | undefined;
}

export interface About {
  /** In words, such as `Moved “Ship”`. */
  readonly what: string;
  readonly card?: string;
  /** Writes with the same run go into one row while they follow each other fast. */
  readonly run?: string;
}

export class Writes {
  readonly #onChange: () => void;
  #rows: Row[] = [];
  #latest = new Map<string, string>();
  /** Which write to a card is its latest, while its receipt is at hand. */
  #marks = new Map<string, object>();
  #run: { id: string; row: Row; atMs: number } | undefined;
  #keys = 0;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  /** Newest first. */
  get rows(): readonly Row[] {
    return this.#rows;
  }

  /** How far the latest write to a card has come; `undefined` if this replica wrote nothing to it lately. */
  stageOf(card: string): string | undefined {
    return this.#latest.get(card);
  }

  add(receipt: Receipt, about: About): void {
    const row = this.#rowFor(about);
    const turn = row.count;
    const { card } = about;
    const mark = {};
    if (card !== undefined) this.#marks.set(card, mark);
    const update = () => {
      // A replica's writes are acknowledged in order: the latest of a run speaks for all of it, unless one is refused.
      if (receipt.stage === "rejected" || (row.count === turn && row.code === undefined)) row.stage = receipt.stage;
      if (receipt.stage === "rejected") row.code = codeOf(receipt.error);
      if (card !== undefined && this.#marks.get(card) === mark) this.#note(card, receipt.stage);
      this.#onChange();
    };
    receipt.on("stage", update);
    update();
  }

  /** The replica was closed and is open again: these receipts are of the writes that it had not sent. */
  reopened(receipts: readonly Receipt[]): void {
    this.#rows = [];
    this.#run = undefined;
    this.#marks.clear();
    const last = receipts.at(-1);
    if (last !== undefined) this.add(last, { what: `Unsent before it was opened: ${receipts.length}` });
    this.pendingIs(receipts.length);
  }

  /** With nothing pending, cards that waited for writes from before a reload wait no more. */
  pendingIs(count: number): void {
    if (count > 0) return;
    for (const card of this.#latest.keys()) if (!this.#marks.has(card)) this.#latest.delete(card);
    this.#onChange();
  }

  #note(card: string, stage: string): void {
    if (!isAtLeader(stage)) {
      this.#latest.set(card, stage);
    } else {
      this.#latest.delete(card);
      this.#marks.delete(card);
    }
  }

  #rowFor(about: About): Row {
    const now = performance.now();
    const { run } = about;
    if (run !== undefined && this.#run?.id === run && now - this.#run.atMs < RUN_MS_MAX) {
      this.#run.atMs = now;
      this.#run.row.count += 1;
      return this.#run.row;
    }
    const row = this.#push(about.what, "applied");
    this.#run = run === undefined ? undefined : { id: run, row, atMs: now };
    return row;
  }

  #push(what: string, stage: string): Row {
    this.#keys += 1;
    const row: Row = { key: this.#keys, what, count: 1, stage, code: undefined };
    this.#rows = [row, ...this.#rows].slice(0, ROWS_MAX);
    return row;
  }
}
