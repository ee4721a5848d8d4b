/**
 * Files as one node keeps them. Every chunk is checked before it is stored and again when it is read, and is on disk before
 * anybody hears that it is. It knows no other node.
 */

import { HeadwaterError, malformed } from "../../errors.js";
import { checkedManifest, checkSize, chunksOf, type FileName, isChunk, LABEL_CHARS_MAX } from "../../files/manifest.js";
import { missingOf, type Span } from "../../files/plan.js";
import type { EdgeContext } from "../cloudflare.js";
import type { Chunks } from "./chunks.js";
import type { FileTables, NodeFile } from "./tables.js";

/** The most files of one database, and what they may weigh together: an object of Cloudflare holds 10 GB. */
export const FILES_MAX = 100_000;
export const FILES_BYTES_MAX = 8 * 1024 * 1024 * 1024;

/** What this node has of a file. */
export interface Kept {
  readonly file: NodeFile;
  readonly missing: readonly Span[];
}

/** The files of one node. */
export class Keeper {
  readonly tables: FileTables;
  readonly #chunks: Chunks;
  readonly #storage: EdgeContext["storage"];

  /** Works on these tables. */
  constructor(storage: EdgeContext["storage"], tables: FileTables, chunks: Chunks) {
    this.#storage = storage;
    this.tables = tables;
    this.#chunks = chunks;
  }

  /** What is here of a file. */
  find(id: string): Kept | undefined {
    const file = this.tables.find(id);
    if (file === undefined) return undefined;
    return { file, missing: file.missing === 0 ? [] : missingOf(this.#chunks.held(id), chunksOf(file.size)) };
  }

  /** Enters a file that somebody is about to bring, or says that it is wanted still. */
  async announce(name: FileName, type: string, hashes: Uint8Array<ArrayBuffer>): Promise<Kept> {
    checkSize(name.size);
    if (type.length > LABEL_CHARS_MAX) throw malformed(`the type has more than ${LABEL_CHARS_MAX} characters`);
    await checkedManifest(name, hashes);
    if (this.tables.find(name.id) === undefined) {
      const { count, bytes } = this.tables.totals();
      if (count >= FILES_MAX) throw new HeadwaterError("QUOTA", `the database has ${count} files, which is the most that it can have`);
      if (bytes + name.size > FILES_BYTES_MAX) {
        throw new HeadwaterError("QUOTA", `the files of the database weigh ${bytes} bytes; they may weigh ${FILES_BYTES_MAX}`);
      }
      this.tables.insert({ ...name, type, hashes, missing: chunksOf(name.size), touchedMs: Date.now() });
    }
    this.tables.touch(name.id, Date.now());
    await this.#storage.sync();
    return this.find(name.id) ?? missing(name.id);
  }

  /** Takes a chunk; resolves once it is on disk. Answers whether the file is whole. */
  async take(id: string, n: number, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
    const file = this.tables.find(id) ?? missing(id);
    if (n >= chunksOf(file.size)) throw malformed(`the file ${id} has ${chunksOf(file.size)} chunks; there is no ${n}`);
    if (!(await isChunk(file, n, bytes))) throw new HeadwaterError("CORRUPT", `this is not chunk ${n} of file ${id}; send it again`);
    if (!this.#chunks.isHeld(id, n)) await this.#chunks.store(id, n, bytes);
    // From here on in one turn, hence in one commit.
    if (this.tables.find(id) === undefined) return missing(id);
    if (this.#chunks.enter(id, n, bytes)) this.tables.missing(id, -1);
    this.tables.touch(id, Date.now());
    await this.#storage.sync();
    return this.tables.find(id)?.missing === 0;
  }

  /** A chunk, if it is here and what it was. A damaged one is missing from then on. */
  async chunk(id: string, n: number): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const file = this.tables.find(id);
    const bytes = file && (await this.#chunks.read(id, n));
    if (file === undefined || bytes === undefined || (await isChunk(file, n, bytes))) return bytes;
    console.error(`headwater: chunk ${n} of file ${id} is damaged in storage`);
    if (this.#chunks.isHeld(id, n)) {
      this.#chunks.drop(id, n);
      this.tables.missing(id, 1);
    }
    return undefined;
  }

  /** Lets go of a file. */
  async remove(id: string): Promise<void> {
    const keys = this.#chunks.dropAll(id);
    this.tables.remove(id);
    await this.#storage.sync();
    await this.#chunks.sweep(keys);
  }
}

function missing(id: string): never {
  throw new HeadwaterError("NOT_FOUND", `there is no file ${id} here; announce it first`);
}
