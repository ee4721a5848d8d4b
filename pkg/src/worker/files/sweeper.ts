/**
 * Removes files that no document refers to any more, once retention has passed since that was found. What is not certain is
 * kept: a document that cannot be read, a member that does not answer, a reference that is new.
 */

import { REFERENCE } from "../../files/manifest.js";
import type { Keeper } from "./keeper.js";
import type { NodeFile } from "./tables.js";

/** Files of one pass: each may have a document read. */
const FILES_MAX = 64;
/** Which files the documents of a pass refer to, not the documents themselves; `undefined` of those that cannot be read. */
type Read = Map<string, Set<string> | undefined>;

/** The pause after a pass that could not be finished, which is shorter where retention is. */
const [AGAIN_MS_MIN, AGAIN_MS] = [1_000, 60_000];

/** What sweeping needs of the node. */
export interface SweeperParts {
  readonly keeper: Keeper;
  readonly retentionMs: number;
  /** Whether this node decides for the database. */
  leads(): boolean;
  /** A document as it is now, as bytes in which a reference stands as it was written. */
  read(doc: string): Promise<Uint8Array>;
  /** Which of these the other members know to be in use; throws unless all of them have said so. */
  inUseElsewhere(ids: readonly string[]): Promise<readonly string[]>;
  /** Has the other members let go of them. */
  dropElsewhere(ids: readonly string[]): Promise<void>;
}

/** The sweeps of one node. */
export class Sweeper {
  readonly #parts: SweeperParts;
  readonly #asked = new Map<string, number>();
  #isRunning = false;

  /** Removes nothing yet. */
  constructor(parts: SweeperParts) {
    this.#parts = parts;
  }

  /** When the next pass is due. */
  get dueMs(): number | undefined {
    const { keeper, retentionMs } = this.#parts;
    const quietest = keeper.tables.quietestMs;
    return quietest === undefined ? undefined : quietest + retentionMs;
  }

  /** How long after a pass that could not be finished the next one begins. */
  get pauseMs(): number {
    return Math.min(AGAIN_MS, Math.max(this.#parts.retentionMs, AGAIN_MS_MIN));
  }

  /** One pass; answers when to come again. */
  async pass(): Promise<number | undefined> {
    if (this.#isRunning) return undefined;
    this.#isRunning = true;
    try {
      const isAllDone = await this.#pass();
      return isAllDone ? this.dueMs : Date.now() + this.pauseMs;
    } finally {
      this.#isRunning = false;
    }
  }

  /** Which of these are in use as far as this node knows. Whoever is told that one is not may tell it to drop it. */
  async inUse(ids: readonly string[]): Promise<string[]> {
    const { keeper, retentionMs } = this.#parts;
    const read: Read = new Map();
    const used: string[] = [];
    for (const id of ids) {
      const askedMs = Date.now();
      const isNew = keeper.tables.mentions(id).some(({ atMs }) => atMs > askedMs - retentionMs);
      const file = keeper.tables.find(id);
      if (isNew || (file !== undefined && (await this.#isReferred(file, read)))) used.push(id);
      else this.#asked.set(id, askedMs);
    }
    return used;
  }

  /** The leader says that nobody refers to them. What was mentioned since it asked stays. */
  async drop(ids: readonly string[]): Promise<void> {
    const { tables } = this.#parts.keeper;
    for (const id of ids) {
      const askedMs = this.#asked.get(id);
      this.#asked.delete(id);
      if (askedMs === undefined || tables.mentions(id).some(({ atMs }) => atMs >= askedMs)) continue;
      await this.#parts.keeper.remove(id);
    }
  }

  /** Whether there is nothing left that is due. */
  async #pass(): Promise<boolean> {
    const { keeper, retentionMs } = this.#parts;
    const beganMs = Date.now();
    const quiet = keeper.tables.quietSince(beganMs - retentionMs, FILES_MAX);
    keeper.tables.forgetMentions(beganMs - retentionMs);
    const removable: NodeFile[] = [];
    const read: Read = new Map();
    for (const file of quiet) {
      // What is not whole, nobody ever had from here.
      if (file.missing > 0 && keeper.tables.mentions(file.id).length === 0) await keeper.remove(file.id);
      else if (!this.#parts.leads()) continue;
      else if (await this.#isReferred(file, read)) keeper.tables.touch(file.id, Date.now());
      else if (file.unreferencedMs !== null || !hadReference(file, keeper)) removable.push(file);
      else keeper.tables.unreferenced(file.id, Date.now());
    }
    if (!this.#parts.leads()) return false;
    if (removable.length > 0) await this.#remove(removable);
    return true;
  }

  async #remove(files: readonly NodeFile[]): Promise<void> {
    const { keeper } = this.#parts;
    const ids = files.map(({ id }) => id);
    const used = new Set(await this.#parts.inUseElsewhere(ids));
    const gone: string[] = [];
    for (const { id, touchedMs } of files) {
      if (used.has(id)) keeper.tables.touch(id, Date.now());
      // Announced or mentioned since this pass has looked at it.
      else if (keeper.tables.find(id)?.touchedMs === touchedMs) {
        gone.push(id);
        await keeper.remove(id);
      }
    }
    if (gone.length > 0) await this.#parts.dropElsewhere(gone);
  }

  /** Reads the documents that ever referred to it, each once in a pass. Those that do not any more are forgotten. */
  async #isReferred(file: NodeFile, read: Read): Promise<boolean> {
    const { tables } = this.#parts.keeper;
    let isReferred = false;
    for (const { doc, atMs } of tables.mentions(file.id)) {
      if (!read.has(doc)) read.set(doc, await this.#parts.read(doc).then(idsIn, () => undefined));
      const ids = read.get(doc);
      if (ids === undefined || ids.has(file.id)) isReferred = true;
      else if (file.unreferencedMs !== null) tables.unmention(file.id, doc, atMs);
    }
    return isReferred;
  }
}

/** The ids of all references in a document. */
function idsIn(bytes: Uint8Array): Set<string> {
  // A character for each byte: what is looked for is ASCII.
  const text = new TextDecoder("latin1").decode(bytes);
  return new Set(Array.from(text.matchAll(REFERENCE), ([, id]) => id as string));
}

/** Whether a document has referred to it since it came: else it was quiet from the beginning, and has had its time. */
function hadReference({ id }: NodeFile, { tables }: Keeper): boolean {
  return tables.mentions(id).length > 0;
}
