/**
 * `db.files`: files that documents refer to. A file is put here first, durably, then brought to the leader; what was read
 * from there is kept under a quota. See docs/files.md.
 */

import type { Engine } from "../engine.js";
import { closed } from "../engine.js";
import { HeadwaterError, malformed, reportUncaught } from "../errors.js";
import { known, optional, timeoutOf } from "../options.js";
import type { Stage, WaitOptions } from "../types.js";
import { aborted } from "../waits.js";
import { FileReceipt, FileTrack, type FileProgress, type Over } from "./file-receipt.js";
import {
  CHUNK_BYTES,
  checkedManifest,
  checkSize,
  chunksOf,
  Digests,
  type FileName,
  isChunk,
  LABEL_CHARS_MAX,
  type Manifest,
  manifestOf,
  parseRef,
  refOf,
} from "./manifest.js";
import { evictions, inParallel, missingOf, numbersIn } from "./plan.js";
import { type Content, pieces } from "./pieces.js";
import { Receiving } from "./receiving.js";
import type { Chunk, FileRow, FileStore } from "./store.js";
import { Transfer } from "./transfer.js";
import { Uploads } from "./uploads.js";

/** What local copies may weigh together unless it is said. */
export const QUOTA_BYTES = 1024 * 1024 * 1024;
/** Chunks that are stored together while a file is put, and that are received at once. */
const WIDTH = 4;
/** For how long nothing may arrive. */
const SILENCE_MS = 30_000;
const [PAUSE_MS, PAUSE_MS_MAX] = [250, 5_000];
/** How often a chunk that is none is asked for again. */
const DAMAGED_MAX = 5;
/** A put that has not ended by then was left behind by a page that is gone. */
const ABANDONED_MS = 24 * 3_600_000;

/** What `put` takes. */
export interface PutOptions {
  /** A name, for whoever lists the files here. */
  readonly name?: string | undefined;
  /** The media type; a blob's own by default. */
  readonly type?: string | undefined;
  /** When the file counts as done; the database's concern by default, where that is a stage. */
  readonly concern?: Stage | undefined;
  /** Ends it, and lets go of what was stored of it. */
  readonly signal?: AbortSignal | undefined;
  /** Told as it is stored here. How much of it is with the leader, the receipt tells. */
  readonly onProgress?: ((progress: FileProgress) => void) | undefined;
}

/** What `get` takes. Its time is that in which nothing arrives. */
export interface GetOptions extends WaitOptions {
  /** Told as it arrives. */
  readonly onProgress?: ((progress: FileProgress) => void) | undefined;
}

/** A file that was put. */
export interface PutFile {
  /** What to write into documents, in one piece. The same for the same bytes. */
  readonly ref: string;
  readonly size: number;
  readonly receipt: FileReceipt;
}

/** A file of which there is a copy here, or a part of one. */
export interface LocalFile {
  readonly ref: string;
  readonly size: number;
  readonly name: string;
  readonly type: string;
  /** What is here of it. */
  readonly heldBytes: number;
  /** How far it has come. */
  readonly stage: Stage | "rejected";
  /** When it was last put or read. */
  readonly usedAt: Date;
}

/** What files work with. */
export interface FilesParts {
  readonly engine: Engine;
  readonly urls: readonly string[] | undefined;
  readonly quotaBytes: number;
  /** The name that tabs meet under, and whether there may be any. */
  readonly name: string;
  readonly areTabs: boolean;
  /** Opens the copies; without `isMade` only if there are any. */
  openStore(isMade: boolean): Promise<FileStore | undefined>;
}

/** The files of a database. */
export class Files {
  readonly #parts: FilesParts;
  readonly #transfer: Transfer | undefined;
  readonly #uploads: Uploads | undefined;
  readonly #tracks = new Map<string, FileTrack>();
  readonly #busy = new Map<string, number>();
  readonly #getting = new Map<string, Promise<unknown>>();
  readonly #over: Over;
  /** Other tabs are told what is put here: they queue for sending it, should this one go. */
  readonly #tabs: BroadcastChannel | undefined;
  #store: Promise<FileStore> | undefined;

  /** Made by `open`. Goes on with what is not sent yet. */
  constructor(parts: FilesParts) {
    this.#parts = parts;
    const { engine, urls } = parts;
    this.#transfer = urls && new Transfer(urls);
    this.#uploads =
      this.#transfer &&
      new Uploads({
        transfer: this.#transfer,
        live: (signal) => this.#live(signal, undefined),
        onWake: (wake) => engine.emitter.on("woke", wake),
        track: (row) => this.#track(row),
        exclusively: (key, run, signal) => exclusively(`${parts.name}/${key}`, run, signal),
      });
    this.#tabs = parts.areTabs && typeof BroadcastChannel === "function" ? new BroadcastChannel(parts.name) : undefined;
    this.#tabs?.addEventListener("message", () => void this.#resume());
    const ended = new Promise<HeadwaterError>((resolve) => {
      engine.emitter.on("ended", () => {
        this.#uploads?.stop();
        this.#tabs?.close();
        void this.#store?.then((store) => store.close(), () => undefined);
        resolve(engine.death ?? closed());
      });
    });
    this.#over = { ended, lateCode: () => (engine.status().phase === "live" ? "TIMEOUT" : "OFFLINE") };
    void this.#resume();
  }

  /**
   * Stores a file here, chunk by chunk, and has it brought to the leader. Resolves when the device has all of it; the
   * reference can then be written into any document. The same bytes are stored and sent once.
   */
  async put(content: Content, options: PutOptions = {}): Promise<PutFile> {
    const { name = "", type = content instanceof Blob ? content.type : "", onProgress, signal } = checkPut(options);
    const { engine } = this.#parts;
    const concern = options.concern ?? (typeof engine.concern === "string" ? engine.concern : "leader");
    const [parts, total] = pieces(content, CHUNK_BYTES);
    if (total !== null) checkSize(total);
    const store = await this.#opened();
    const key = newKey();
    const now = Date.now();
    const empty = { key, id: null, size: 0, hashes: new Uint8Array(), name, type, isWhole: false, heldBytes: 0 } as const;
    const started: FileRow = { ...empty, stage: "applied", isSafe: false, error: null, addedAtMs: now, usedAtMs: now };
    this.#use(key, 1);
    try {
      await this.#makeRoom(store, total ?? CHUNK_BYTES);
      await store.put(started);
      const manifest = await this.#storeParts(store, key, parts, total, { signal, onProgress });
      return await this.#adopt(store, started, manifest, concern);
    } catch (error) {
      await store.drop([key]).catch(() => undefined);
      throw error;
    } finally {
      this.#use(key, -1);
    }
  }

  /**
   * A file, from here or from the leader, every chunk of it checked. What has arrived before a failure is kept: the next
   * call goes on there. `NOT_FOUND` if the leader does not have it either; `TIMEOUT` or `OFFLINE` if nothing arrives any more.
   */
  async get(ref: string, options: GetOptions = {}): Promise<Blob> {
    const file = parseRef(ref);
    const timeoutMs = timeoutOf(options, SILENCE_MS, "onProgress");
    if (options.onProgress !== undefined) checkListener(options.onProgress);
    // One after the other: what the first one has received is there for the next.
    const before = this.#getting.get(file.id);
    const turn = (before ?? Promise.resolve()).then(() => this.#get(file, timeoutMs, options));
    const ended = turn.catch(() => undefined);
    this.#getting.set(file.id, ended);
    void ended.then(() => void (this.#getting.get(file.id) === ended && this.#getting.delete(file.id)));
    return turn;
  }

  /** Whether all of a file is here. */
  async has(ref: string): Promise<boolean> {
    const { id } = parseRef(ref);
    const store = await this.#opened(false);
    return (await store?.find(id))?.isWhole ?? false;
  }

  /** The files of which something is here, the last used first. */
  async list(): Promise<LocalFile[]> {
    const rows = (await (await this.#opened(false))?.rows()) ?? [];
    return rows.flatMap(({ id, size, name, type, heldBytes, stage, usedAtMs }) => {
      if (id === null) return [];
      return [{ ref: refOf({ id, size }), size, name, type, heldBytes, stage, usedAt: new Date(usedAtMs) }];
    }).sort((left, right) => Number(right.usedAt) - Number(left.usedAt));
  }

  /** Receipts of the files that are on their way to the leader, by reference. True right after a reload, too. */
  async pending(): Promise<PutFile[]> {
    const store = await this.#opened(false);
    if (store === undefined) return [];
    const rows = (await store.rows()).filter(({ id, isSafe, stage }) => id !== null && !isSafe && stage !== "rejected");
    return rows.sort((left, right) => left.addedAtMs - right.addedAtMs).map((row) => this.#putFile(store, row, "leader"));
  }

  /** Lets go of the local copy; answers whether there was one that the leader's side keeps. Another one stays. */
  async evict(ref: string): Promise<boolean> {
    const { id } = parseRef(ref);
    const store = await this.#opened(false);
    const row = await store?.find(id);
    if (store === undefined || row === undefined || !this.#isEvictable(row)) return false;
    await store.drop([row.key]);
    return true;
  }

  async #storeParts(
    store: FileStore,
    key: string,
    parts: AsyncIterable<Uint8Array<ArrayBuffer>>,
    total: number | null,
    { signal, onProgress }: Pick<PutOptions, "signal" | "onProgress">,
  ): Promise<Manifest> {
    const digests = new Digests();
    let gathered: Chunk[] = [];
    let [n, bytes] = [0, 0];
    const flush = async () => {
      if (!(await store.add(key, gathered))) throw new HeadwaterError("STORAGE_UNAVAILABLE", "local storage was emptied");
      gathered = [];
      onProgress?.({ bytes, total });
    };
    for await (const part of parts) {
      if (signal?.aborted) throw aborted(signal);
      await digests.add(part);
      gathered.push([n, part]);
      [n, bytes] = [n + 1, bytes + part.length];
      checkSize(bytes);
      if (gathered.length < WIDTH) continue;
      if (total === null) await this.#makeRoom(store, CHUNK_BYTES * WIDTH);
      await flush();
    }
    await flush();
    return manifestOf(bytes, digests.hashes);
  }

  /** The copy has its name now; of a file that is here already it takes the place, or is let go of. */
  async #adopt(store: FileStore, started: FileRow, { id, size, hashes }: Manifest, concern: Stage): Promise<PutFile> {
    const before = await store.find(id);
    const { key, name, type } = started;
    const label = { ...(name === "" ? {} : { name }), ...(type === "" ? {} : { type }) };
    let row: FileRow;
    if (before?.isWhole === true) {
      // A file that was safe may have been removed there since, if nothing referred to it: so it is announced again.
      row = { ...before, ...label, usedAtMs: Date.now(), isSafe: this.#transfer === undefined && before.isSafe, stage: this.#localStage(store), error: null };
      await store.put(row, [key]);
    } else {
      row = { ...started, id, size, hashes, isWhole: true, heldBytes: size, stage: this.#localStage(store) };
      await store.put(row, before === undefined ? [] : [before.key]);
    }
    this.#track(row).move(row.stage);
    const file = this.#putFile(store, row, concern);
    // After this tab has queued itself.
    this.#tabs?.postMessage(null);
    return file;
  }

  #localStage(store: FileStore): Stage {
    return store.isDurable ? "local" : "applied";
  }

  #putFile(store: FileStore, row: FileRow, concern: Stage): PutFile {
    const { key, id, size } = row;
    const wake = () => this.#uploads?.begin(store, key);
    const receipt = new FileReceipt(this.#track(row), concern, wake, this.#over);
    wake();
    return { ref: refOf({ id: id as string, size }), size, receipt };
  }

  async #get(file: FileName, timeoutMs: number, { signal, onProgress }: GetOptions): Promise<Blob> {
    if (signal?.aborted) throw aborted(signal);
    const store = await this.#opened();
    let row = await store.find(file.id);
    const key = row?.key ?? newKey();
    this.#use(key, 1);
    const receiving = new Receiving(timeoutMs, signal, this.#over);
    try {
      row ??= await this.#announce(store, file, key, receiving);
      const manifest = { ...file, hashes: row.hashes };
      const isKept = row.heldBytes === file.size || (await this.#hasRoom(store, file.size - row.heldBytes));
      const parts = await this.#gather(store, { row, manifest, isKept, onProgress }, receiving);
      const now = Date.now();
      if (isKept) await store.update(key, { isWhole: true, usedAtMs: now });
      else await store.drop([key]);
      return new Blob(parts, { type: row.type });
    } finally {
      receiving.end();
      this.#use(key, -1);
    }
  }

  /** A row for a file of which nothing is here. */
  async #announce(store: FileStore, file: FileName, key: string, receiving: Receiving): Promise<FileRow> {
    const [hashes, type] = await this.#received(receiving, async (transfer, signal) => {
      const answer = await transfer.hashes(file, signal);
      // A member that is behind may not have heard of the file itself; what it says besides is of less use.
      const said = await transfer.status(file.id, "local", 0, signal).catch(() => undefined);
      return [(await checkedManifest(file, answer)).hashes, said?.type ?? ""] as const;
    });
    const now = Date.now();
    const given = { key, ...file, hashes, name: "", type, addedAtMs: now, usedAtMs: now };
    const row: FileRow = { ...given, isWhole: false, heldBytes: 0, stage: "leader", isSafe: true, error: null };
    await store.put(row);
    return row;
  }

  /** All chunks as blobs, which the browser keeps outside of this page's memory. */
  async #gather(
    store: FileStore,
    what: { readonly row: FileRow; readonly manifest: Manifest; readonly isKept: boolean; readonly onProgress: GetOptions["onProgress"] },
    receiving: Receiving,
  ): Promise<Blob[]> {
    const { row, manifest, isKept, onProgress } = what;
    const { id, size } = manifest;
    const count = chunksOf(size);
    const parts: Blob[] = new Array<Blob>(count);
    let bytes = 0;
    const take = (n: number, chunk: Uint8Array<ArrayBuffer>) => {
      parts[n] = new Blob([chunk]);
      bytes += chunk.length;
      receiving.arrived();
      onProgress?.({ bytes, total: size });
    };
    const held: number[] = [];
    for (const n of await store.held(row.key)) {
      receiving.check();
      const chunk = await store.chunk(row.key, n);
      if (chunk === undefined) continue;
      if (await isChunk(manifest, n, chunk)) {
        held.push(n);
        take(n, chunk);
        // Storage has damaged it. What nobody else has is left for whoever can still make something of it.
      } else if (row.isSafe) await store.dropChunk(row.key, n, chunk.length);
      else throw new HeadwaterError("CORRUPT", `the local copy of file ${id} is damaged, and the leader does not have it yet`);
    }
    await inParallel(numbersIn(missingOf(held, count)), WIDTH, async (n) => {
      let damaged = 0;
      const chunk = await this.#received(receiving, async (transfer, signal) => {
        const answer = await transfer.chunk(id, n, signal);
        if (await isChunk(manifest, n, answer)) return answer;
        damaged += 1;
        throw new HeadwaterError(damaged < DAMAGED_MAX ? "OFFLINE" : "CORRUPT", `chunk ${n} of file ${id} arrived damaged`);
      });
      if (isKept && !(await store.add(row.key, [[n, chunk]]))) {
        throw new HeadwaterError("STORAGE_UNAVAILABLE", "the local copy was let go of while the file was read; read it again");
      }
      take(n, chunk);
    });
    return parts;
  }

  /** Asks until there is an answer, for as long as it is worth it. */
  async #received<T>(receiving: Receiving, ask: (transfer: Transfer, signal: AbortSignal) => Promise<T>): Promise<T> {
    const transfer = this.#transfer;
    if (transfer === undefined) throw new HeadwaterError("NOT_FOUND", "the file is not here, and the database has no url");
    for (let pauseMs = PAUSE_MS; ; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
      await this.#live(receiving.signal, receiving);
      receiving.check();
      try {
        return await ask(transfer, receiving.signal);
      } catch (error) {
        receiving.check();
        if (!(error instanceof HeadwaterError) || !["OFFLINE", "BUSY", "TIMEOUT"].includes(error.code)) throw error;
        transfer.turn();
        await receiving.pause(pauseMs * (0.5 + Math.random()));
      }
    }
  }

  async #live(signal: AbortSignal, receiving: Receiving | undefined): Promise<void> {
    const { engine } = this.#parts;
    if (engine.status().phase === "live") return;
    await new Promise<void>((resolve) => {
      const look = () => {
        if (engine.status().phase === "live" || signal.aborted) end();
      };
      const off = engine.emitter.on("changed", look);
      signal.addEventListener("abort", look);
      const end = () => {
        off();
        signal.removeEventListener("abort", look);
        resolve();
      };
      look();
    });
    receiving?.check();
    if (signal.aborted) throw closed();
  }

  async #makeRoom(store: FileStore, bytes: number): Promise<void> {
    if (await this.#hasRoom(store, bytes)) return;
    const message = `the files here that the leader does not have yet leave no room for ${bytes} bytes of ${this.#parts.quotaBytes}`;
    throw new HeadwaterError("QUOTA", message);
  }

  /** Evicts what has to go; answers whether it fits. */
  async #hasRoom(store: FileStore, bytes: number): Promise<boolean> {
    const rows = await store.rows();
    const copies = rows.map((row) => ({ ...row, isSafe: this.#isEvictable(row) }));
    const evicted = evictions(copies, bytes, this.#parts.quotaBytes, new Set(this.#busy.keys()));
    if (evicted !== undefined && evicted.length > 0) await store.drop(evicted);
    return evicted !== undefined;
  }

  #isEvictable({ key, isSafe, id, addedAtMs }: FileRow): boolean {
    if (this.#busy.has(key)) return false;
    return isSafe || (id === null && addedAtMs < Date.now() - ABANDONED_MS);
  }

  #use(key: string, more: 1 | -1): void {
    const uses = (this.#busy.get(key) ?? 0) + more;
    if (uses > 0) this.#busy.set(key, uses);
    else this.#busy.delete(key);
  }

  #track(row: FileRow): FileTrack {
    const track = this.#tracks.get(row.key) ?? new FileTrack(row);
    this.#tracks.set(row.key, track);
    return track;
  }

  #opened(): Promise<FileStore>;
  #opened(isMade: false): Promise<FileStore | undefined>;
  async #opened(isMade = true): Promise<FileStore | undefined> {
    this.#parts.engine.checkOpen();
    if (this.#store !== undefined) return this.#store;
    if (!isMade) {
      const store = await this.#parts.openStore(false);
      if (store !== undefined) this.#store ??= Promise.resolve(store);
      return this.#store;
    }
    this.#store = this.#parts.openStore(true) as Promise<FileStore>;
    this.#store.catch(() => void (this.#store = undefined));
    return this.#store;
  }

  /** What an earlier opening could not send any more, and what other tabs send. */
  async #resume(): Promise<void> {
    try {
      await this.pending();
    } catch (error) {
      // Whoever uses files is told the same; nobody else has to know.
      if (!(error instanceof HeadwaterError)) reportUncaught(error);
    }
  }
}

/** One tab at a time, where browsers have locks. */
async function exclusively(name: string, run: () => Promise<void>, signal: AbortSignal): Promise<void> {
  const { locks } = (globalThis.navigator as Navigator | undefined) ?? {};
  if (locks === undefined) return run();
  await locks.request(name, { signal }, run);
}

function newKey(): string {
  return Array.from(crypto.getRandomValues(new Uint8Array(8)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

function checkPut(options: PutOptions): PutOptions {
  known(options, ["name", "type", "concern", "signal", "onProgress"], "files.put");
  const { name, type, onProgress, concern } = options;
  for (const [what, text] of [["name", name], ["type", type]] as const) {
    optional(text, "string", what);
    if ((text?.length ?? 0) > LABEL_CHARS_MAX) throw malformed(`${what} has more than ${LABEL_CHARS_MAX} characters`);
  }
  if (concern !== undefined && !["applied", "local", "leader", "quorum", "all"].includes(concern)) {
    throw malformed(`concern is ${String(concern)}; of a file it is a stage`);
  }
  if (onProgress !== undefined) checkListener(onProgress);
  return options;
}

function checkListener(onProgress: unknown): void {
  if (typeof onProgress !== "function") throw malformed("onProgress is a function");
}
