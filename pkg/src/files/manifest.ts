/**
 * What a file is called and what it is cut into. The name is the digest of the digests of its chunks, so that each chunk can
 * be checked by itself, by anybody, before the others are there. It knows no storage and no network.
 */

import { HeadwaterError, malformed } from "../errors.js";

/** What every chunk but the last one weighs. Part of the format: another length gives other names. */
export const CHUNK_BYTES = 256 * 1024;
/** The longest file. */
export const FILE_BYTES_MAX = 1024 * 1024 * 1024;
/** The longest media type and name that are kept with a file, in characters. */
export const LABEL_CHARS_MAX = 255;

const DIGEST_BYTES = 32;
const VERSION = "headwater-file/1\n";
const REF = /^hw-file:([0-9a-f]{64})\/(0|[1-9][0-9]{0,9})$/;
const ID = /^[0-9a-f]{64}$/;
/** References wherever they stand. The size is no part of the name: whoever wrote another one meant the same file. */
export const REFERENCE = /hw-file:([0-9a-f]{64})/g;

/** The digests of a file's chunks, and what follows from them. */
export interface Manifest {
  /** SHA-256 of what is said here, in hexadecimal digits. */
  readonly id: string;
  /** How many bytes it has. */
  readonly size: number;
  /** SHA-256 of each chunk, one after the other. */
  readonly hashes: Uint8Array<ArrayBuffer>;
}

/** What a reference says. */
export interface FileName {
  readonly id: string;
  readonly size: number;
}

/** How many chunks a file of that size has. */
export function chunksOf(size: number): number {
  return Math.ceil(size / CHUNK_BYTES);
}

/** How long the n-th chunk is. */
export function chunkBytesOf(size: number, n: number): number {
  return Math.min(CHUNK_BYTES, size - n * CHUNK_BYTES);
}

/** The reference to write into documents. */
export function refOf({ id, size }: FileName): string {
  return `hw-file:${id}/${size}`;
}

/** Reads a reference; throws for anything else. */
export function parseRef(ref: unknown): FileName {
  const [, id, size] = (typeof ref === "string" && REF.exec(ref)) || [];
  if (id === undefined) throw malformed(`${String(ref)} is no reference to a file; \`db.files.put\` answers one`);
  checkSize(Number(size));
  return { id, size: Number(size) };
}

/** Whether text can be the id of a file. */
export function isFileId(text: string): boolean {
  return ID.test(text);
}

/** Refuses what is above the limit. */
export function checkSize(size: number): void {
  if (size <= FILE_BYTES_MAX) return;
  throw new HeadwaterError("TOO_LARGE", `the file has ${size} bytes; a file has ${FILE_BYTES_MAX} at most`);
}

/** The manifest that these digests make. */
export async function manifestOf(size: number, hashes: Uint8Array<ArrayBuffer>): Promise<Manifest> {
  const head = new TextEncoder().encode(VERSION);
  const bytes = new Uint8Array(head.length + 8 + hashes.length);
  bytes.set(head);
  new DataView(bytes.buffer).setBigUint64(head.length, BigInt(size));
  bytes.set(hashes, head.length + 8);
  return { id: hex(await digest(bytes)), size, hashes };
}

/** The manifest of a file whose name is known; throws `CORRUPT` if these are not its digests. */
export async function checkedManifest(name: FileName, hashes: Uint8Array<ArrayBuffer>): Promise<Manifest> {
  checkSize(name.size);
  const manifest = await manifestOf(name.size, hashes);
  if (hashes.length === chunksOf(name.size) * DIGEST_BYTES && manifest.id === name.id) return manifest;
  throw new HeadwaterError("CORRUPT", `these are not the digests of the file ${name.id}`);
}

/** Whether bytes are the n-th chunk of a file. */
export async function isChunk({ size, hashes }: Manifest, n: number, bytes: Uint8Array<ArrayBuffer>): Promise<boolean> {
  if (bytes.length !== chunkBytesOf(size, n)) return false;
  const found = await digest(bytes);
  return found.every((byte, at) => byte === hashes[n * DIGEST_BYTES + at]);
}

/** Gathers digests of chunks as they come. */
export class Digests {
  #hashes = new Uint8Array(64 * DIGEST_BYTES);
  #length = 0;

  /** Adds the next chunk's. */
  async add(chunk: Uint8Array<ArrayBuffer>): Promise<void> {
    const found = await digest(chunk);
    if (this.#length === this.#hashes.length) {
      const more = new Uint8Array(2 * this.#length);
      more.set(this.#hashes);
      this.#hashes = more;
    }
    this.#hashes.set(found, this.#length);
    this.#length += DIGEST_BYTES;
  }

  /** All of them. */
  get hashes(): Uint8Array<ArrayBuffer> {
    return this.#hashes.slice(0, this.#length);
  }
}

async function digest(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  return new Uint8Array(await crypto.subtle.digest("SHA-256", bytes));
}

function hex(bytes: Uint8Array): string {
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
