/** The receipt of a file: how far it has come, as the receipt of a write says it. */

import { Emitter } from "../emitter.js";
import { fromPlain, HeadwaterError, malformed } from "../errors.js";
import { timeoutOf } from "../options.js";
import type { Stage, WaitOptions } from "../types.js";
import { onAbort, TIMER_MS_MAX } from "../waits.js";
import { includes } from "./plan.js";
import type { FileRow } from "./store.js";

const REACHED_MS = 30_000;
const STAGES: readonly unknown[] = ["applied", "local", "leader", "quorum", "all"];

/** How far something has come, in bytes. */
export interface FileProgress {
  /** Bytes that are there. */
  readonly bytes: number;
  /** All bytes; `null` while a stream has not said. */
  readonly total: number | null;
}

/** What a receipt tells. */
export interface FileReceiptEvents {
  /** It has come to another stage. */
  stage: Stage | "rejected";
  /** More of it is with the leader. */
  progress: FileProgress;
}

/** How far a file is, shared by all receipts of it in this opening. */
export class FileTrack {
  readonly emitter = new Emitter<FileReceiptEvents>();
  stage: Stage | "rejected";
  error: HeadwaterError | null;
  /** How many wait for every voter: nobody else has the node asked for so long. */
  waitingForAll = 0;

  /** As storage has it. */
  constructor({ stage, error }: Pick<FileRow, "stage" | "error">) {
    this.stage = stage;
    this.error = error === null ? null : fromPlain(error);
  }

  /** It has come further, or back to the beginning because it is put again. */
  move(stage: Stage | "rejected", error: HeadwaterError | null = null): void {
    if (stage === this.stage) return;
    this.stage = stage;
    this.error = error;
    this.emitter.emit("stage", stage);
  }
}

/** How waits end that are not met. */
export interface Over {
  /** Resolves when the database is closed or dead. */
  readonly ended: Promise<HeadwaterError>;
  /** What a wait is that took too long: one that could not be met without a connection is another one. */
  lateCode(): "TIMEOUT" | "OFFLINE";
}

/** The handle on one file that was put. */
export class FileReceipt {
  /** When the file counts as done. */
  readonly concern: Stage;
  readonly #track: FileTrack;
  readonly #wake: () => void;
  readonly #over: Over;

  /** Made by the package. `wake` has the file sent on. */
  constructor(track: FileTrack, concern: Stage, wake: () => void, over: Over) {
    this.concern = concern;
    this.#track = track;
    this.#wake = wake;
    this.#over = over;
  }

  /** How far the file has come: `local` is on this device's disk, the others are those of writes, for all of its bytes. */
  get stage(): Stage | "rejected" {
    return this.#track.stage;
  }

  /** Why no leader takes it; `null` if none has refused it. */
  get error(): HeadwaterError | null {
    return this.#track.error;
  }

  /** Resolves when a stage is reached, by default the concern. One that ends in time leaves the file on its way. */
  async reached(stage: Stage = this.concern, options: WaitOptions = {}): Promise<Stage> {
    if (!STAGES.includes(stage)) throw malformed(`stage is ${String(stage)}; files come to ${STAGES.slice(1).join(", ")}`);
    const timeoutMs = Math.min(timeoutOf(options, REACHED_MS), TIMER_MS_MAX);
    const track = this.#track;
    if (stage === "all") track.waitingForAll += 1;
    this.#wake();
    const ends: (() => void)[] = [];
    try {
      await new Promise<void>((resolve, reject) => {
        const look = () => {
          if (track.stage === "rejected") reject(track.error);
          else if (includes(track.stage, stage)) resolve();
        };
        ends.push(track.emitter.on("stage", look), onAbort(options.signal, reject));
        const message = `the file is at ${track.stage} and did not reach ${stage} within ${timeoutMs} ms; it stays on its way`;
        const timer = setTimeout(() => reject(new HeadwaterError(this.#over.lateCode(), message)), timeoutMs);
        ends.push(() => clearTimeout(timer));
        void this.#over.ended.then(reject);
        look();
      });
      return stage;
    } finally {
      for (const end of ends) end();
      if (stage === "all") track.waitingForAll -= 1;
    }
  }

  /** Calls `listener` with each new stage, or with how much of it is with the leader; answers how to stop. */
  on<Name extends keyof FileReceiptEvents>(name: Name, listener: (event: FileReceiptEvents[Name]) => void): () => void {
    return this.#track.emitter.on(name, listener);
  }
}
