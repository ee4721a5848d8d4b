/**
 * Brings files to the leader, one after the other, for as long as there are any: what is missing there is asked first, so
 * that whatever ended the last attempt, it goes on where that was. One tab at a time sends a file.
 */

import { HeadwaterError, reportUncaught } from "../errors.js";
import type { Stage } from "../types.js";
import type { FileTrack } from "./file-receipt.js";
import { checkedManifest, chunkBytesOf, isChunk, type Manifest } from "./manifest.js";
import { includes, inParallel, numbersIn, type Span } from "./plan.js";
import type { FileRow, FileStore } from "./store.js";
import type { Transfer } from "./transfer.js";

/** Chunks on their way at once. */
const WIDTH = 4;
/** How long a node is asked to wait for a stage before it is asked again. */
const STAGE_MS = 20_000;
/** The pause before the next attempt, at first and at last. */
const [PAUSE_MS, PAUSE_MS_MAX] = [250, 30_000];
/** What no repetition would change. */
const FINAL: readonly string[] = ["TOO_LARGE", "MALFORMED"];

/** What uploads work with. */
export interface UploadParts {
  readonly transfer: Transfer;
  /** Resolves once the database is connected. */
  live(signal: AbortSignal): Promise<void>;
  /** Called when trying again may help. */
  onWake(wake: () => void): () => void;
  /** How a file is tracked, by its key. */
  track(row: FileRow): FileTrack;
  /** Runs something while no other tab runs it for the same name. */
  exclusively(name: string, run: () => Promise<void>, signal: AbortSignal): Promise<void>;
}

/** The uploads of one database. */
export class Uploads {
  readonly #parts: UploadParts;
  readonly #over = new AbortController();
  readonly #running = new Set<string>();
  /** Those that were begun again while they ran. */
  readonly #again = new Set<string>();

  /** Sends nothing yet. */
  constructor(parts: UploadParts) {
    this.#parts = parts;
  }

  /** Has a copy sent, unless it is being sent. */
  begin(store: FileStore, key: string): void {
    if (this.#over.signal.aborted) return;
    if (this.#running.has(key)) return void this.#again.add(key);
    this.#running.add(key);
    void this.#send(store, key)
      .catch((error: unknown) => {
        if (!this.#over.signal.aborted) reportUncaught(error);
      })
      .finally(() => {
        this.#running.delete(key);
        if (this.#again.delete(key)) this.begin(store, key);
      });
  }

  /** Sends nothing more. */
  stop(): void {
    this.#over.abort();
  }

  async #send(store: FileStore, key: string): Promise<void> {
    const { signal } = this.#over;
    await this.#parts.exclusively(key, async () => {
      for (let pauseMs = PAUSE_MS; !signal.aborted; pauseMs = Math.min(2 * pauseMs, PAUSE_MS_MAX)) {
        const row = (await store.rows()).find((each) => each.key === key);
        if (row === undefined || row.id === null) return;
        const track = this.#parts.track(row);
        track.move(row.stage);
        if (row.stage === "rejected" || (row.isSafe && !this.#isAskedFor(track))) return;
        await this.#parts.live(signal);
        try {
          if (await this.#attempt(store, row, track)) return;
          pauseMs = PAUSE_MS;
        } catch (error) {
          if (signal.aborted) return;
          if (error instanceof HeadwaterError && FINAL.includes(error.code)) return this.#reject(store, row, track, error);
          this.#parts.transfer.turn();
          await this.#pause(pauseMs * (0.5 + Math.random()));
        }
      }
    }, signal);
  }

  #isAskedFor(track: FileTrack): boolean {
    return track.waitingForAll > 0 && track.stage !== "all";
  }

  /** Whether there is nothing more to do. */
  async #attempt(store: FileStore, row: FileRow, track: FileTrack): Promise<boolean> {
    const { signal } = this.#over;
    const { transfer } = this.#parts;
    const { size, hashes, type, key } = row;
    const manifest = await checkedManifest({ id: row.id as string, size }, hashes);
    let status = await transfer.begin(manifest, type, signal);
    if (status.missing.length > 0) {
      await this.#sendChunks(store, key, manifest, status.missing, track);
      status = await transfer.status(manifest.id, "leader", STAGE_MS, signal);
    }
    for (;;) {
      await this.#keep(store, key, status.stage, track);
      if (status.missing.length > 0) return false;
      const wanted: Stage = includes(status.stage, "quorum") ? "all" : includes(status.stage, "leader") ? "quorum" : "leader";
      if (status.stage === "all" || (wanted === "all" && !this.#isAskedFor(track))) return true;
      status = await transfer.status(manifest.id, wanted, STAGE_MS, signal);
    }
  }

  async #sendChunks(
    store: FileStore,
    key: string,
    manifest: Manifest,
    missing: readonly Span[],
    track: FileTrack,
  ): Promise<void> {
    const { id, size } = manifest;
    let rest = 0;
    for (const n of numbersIn(missing)) rest += chunkBytesOf(size, n);
    const tell = () => track.emitter.emit("progress", { bytes: size - rest, total: size });
    tell();
    await inParallel(numbersIn(missing), WIDTH, async (n) => {
      const bytes = await store.chunk(key, n);
      if (bytes === undefined || !(await isChunk(manifest, n, bytes))) {
        throw new HeadwaterError("MALFORMED", `the local copy of file ${id} is damaged; put it again`);
      }
      await this.#parts.transfer.send(id, n, bytes, this.#over.signal);
      rest -= bytes.length;
      tell();
    });
  }

  /** Settled is what no failover takes away: then it need not be sent again, and may be evicted. */
  async #keep(store: FileStore, key: string, stage: Stage, track: FileTrack): Promise<void> {
    if (!includes(stage, "leader") || (includes(track.stage as string, stage) && track.stage !== "rejected")) return;
    await store.update(key, { stage, isSafe: includes(stage, "quorum"), error: null });
    track.move(stage);
  }

  async #reject(store: FileStore, { key }: FileRow, track: FileTrack, error: HeadwaterError): Promise<void> {
    const { code, message } = error;
    await store.update(key, { stage: "rejected", error: { code, message } });
    track.move("rejected", error);
  }

  #pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      const end = () => {
        clearTimeout(timer);
        unlisten();
        this.#over.signal.removeEventListener("abort", end);
        resolve();
      };
      const timer = setTimeout(end, ms);
      const unlisten = this.#parts.onWake(end);
      this.#over.signal.addEventListener("abort", end);
    });
  }
}
