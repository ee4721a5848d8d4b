/**
 * A backup as a file: see `docs/backup.md`. It is written and read as a stream, a record at a time; every record carries a
 * checksum of itself and of all before it, so that nothing can be changed, left out, doubled or cut off without showing.
 * It knows neither nodes nor replicas.
 */

import { HeadwaterError, malformed } from "../errors.js";

/** What every backup begins with: bytes that no text has, and line ends that a transfer as text would change. */
const MAGIC = new Uint8Array([0x89, 0x48, 0x57, 0x42, 0x4b, 0x0d, 0x0a, 0x1a]);
const VERSION = 1;

const [HEADER, DOCUMENT, CHUNK, END] = [1, 2, 3, 4] as const;

/** The kind of a record and its length. */
const HEAD_BYTES = 5;
const DIGEST_BYTES = 32;
/** The longest chunk of a document. */
export const CHUNK_BYTES_MAX = 1 << 20;
/** The longest record of any other kind: a header with the longest bookmark fits. */
const FACTS_BYTES_MAX = 64 << 10;
const NAME_BYTES_MAX = 256;

/** What a backup says of itself. */
export interface BackupHeader {
  /** The database that it was taken of. */
  readonly database: string;
  /** Which life of that database's storage, in hexadecimal digits; zeros if no leader had told it. */
  readonly generation: string;
  /** The position that it shows; of a replica's own copy there may be none that holds for all documents. */
  readonly bookmark: string | null;
  /** When, as ISO 8601. */
  readonly createdAt: string;
}

/** A document in a backup. */
export interface BackupDocument {
  readonly name: string;
  /** Everything of it as one update in encoding v1, which `Y.applyUpdate` takes. */
  readonly update: Uint8Array<ArrayBuffer>;
}

/** What is in a backup, as its last record tells. */
export interface BackupTotals {
  readonly documents: number;
  /** Of all updates together. */
  readonly bytes: number;
}

/** What a reader comes across, in this order: the header, documents, the totals. */
export type BackupPart =
  | ({ readonly kind: "header" } & BackupHeader)
  | ({ readonly kind: "document" } & BackupDocument)
  | ({ readonly kind: "end" } & BackupTotals);

/** Writes a backup: each method answers the bytes that come next. */
export class BackupWriter {
  #digest: Uint8Array<ArrayBuffer> = new Uint8Array();
  #documents = 0;
  #bytes = 0;

  /** What it has so far. */
  get totals(): BackupTotals {
    return { documents: this.#documents, bytes: this.#bytes };
  }

  /** The beginning. */
  async begin(header: BackupHeader): Promise<Uint8Array<ArrayBuffer>> {
    this.#digest = concat([MAGIC, new Uint8Array([VERSION])]);
    return concat([this.#digest, ...(await this.#facts(HEADER, header))]);
  }

  /** A document, in parts. */
  async *document({ name, update }: BackupDocument): AsyncGenerator<Uint8Array<ArrayBuffer>> {
    const chunks = Math.ceil(update.length / CHUNK_BYTES_MAX);
    const parts = await this.#facts(DOCUMENT, { name, bytes: update.length, chunks });
    for (let at = 0; at < update.length; at += CHUNK_BYTES_MAX) {
      parts.push(...(await this.#record(CHUNK, update.slice(at, at + CHUNK_BYTES_MAX))));
      yield concat(parts.splice(0));
    }
    if (parts.length > 0) yield concat(parts);
    this.#documents += 1;
    this.#bytes += update.length;
  }

  /** The end. A backup without it is none. */
  async end(): Promise<Uint8Array<ArrayBuffer>> {
    return concat(await this.#facts(END, this.totals));
  }

  #facts(kind: number, facts: object): Promise<Uint8Array<ArrayBuffer>[]> {
    return this.#record(kind, new TextEncoder().encode(JSON.stringify(facts)));
  }

  async #record(kind: number, body: Uint8Array<ArrayBuffer>): Promise<Uint8Array<ArrayBuffer>[]> {
    const head = new Uint8Array(HEAD_BYTES);
    head[0] = kind;
    new DataView(head.buffer).setUint32(1, body.length, true);
    this.#digest = await digest(this.#digest, head, body);
    return [head, body, this.#digest];
  }
}

/** What {@link readBackup} takes. */
export interface ReadOptions {
  /** Documents with more are refused with `TOO_LARGE`: each is kept in memory as a whole. */
  readonly documentBytesMax?: number;
}

/**
 * Reads a backup a document at a time, and answers nothing of a document before all of it has proved whole. Throws
 * `MALFORMED` for what is no backup, `VERSION` for one of a newer version, `CORRUPT` for one that is cut off or changed.
 * Whoever does not come to its `end` has not read it whole.
 */
export async function* readBackup(
  source: AsyncIterable<Uint8Array>,
  { documentBytesMax = Infinity }: ReadOptions = {},
): AsyncGenerator<BackupPart> {
  const input = new Input(source);
  const records = new Records(input);
  const begin = await records.begin();
  yield { kind: "header", ...headerOf(begin) };
  const totals = { documents: 0, bytes: 0 };
  for (;;) {
    const { kind, body } = await records.next();
    if (kind === END) {
      const { documents, bytes } = factsOf(body);
      if (documents !== totals.documents || bytes !== totals.bytes || !(await input.isAtEnd())) throw damaged("its end does not fit");
      return yield { kind: "end", ...totals };
    }
    if (kind !== DOCUMENT) throw damaged("a document is expected");
    const { name, bytes, chunks } = documentOf(body);
    if (bytes > documentBytesMax) {
      const message = `document ${JSON.stringify(name)} has ${bytes} bytes, and ${documentBytesMax} are the most that are taken`;
      throw new HeadwaterError("TOO_LARGE", message);
    }
    const parts: Uint8Array<ArrayBuffer>[] = [];
    let length = 0;
    for (let at = 0; at < chunks; at += 1) {
      const chunk = await records.next();
      length += chunk.body.length;
      if (chunk.kind !== CHUNK || length > bytes) throw damaged(`document ${JSON.stringify(name)} is not whole`);
      parts.push(chunk.body);
    }
    if (length !== bytes) throw damaged(`document ${JSON.stringify(name)} is not whole`);
    totals.documents += 1;
    totals.bytes += bytes;
    yield { kind: "document", name, update: concat(parts) };
  }
}

/** The records of a backup, each checked against everything before it. */
class Records {
  readonly #input: Input;
  #digest: Uint8Array<ArrayBuffer> = new Uint8Array();

  constructor(input: Input) {
    this.#input = input;
  }

  /** The header's body. */
  async begin(): Promise<Uint8Array<ArrayBuffer>> {
    const begin = await this.#input.take(MAGIC.length + 1, () => malformed("this is no backup"));
    if (MAGIC.some((byte, at) => byte !== begin[at])) throw malformed("this is no backup, or it was changed on its way");
    const version = begin[MAGIC.length];
    if (version !== VERSION) {
      throw new HeadwaterError("VERSION", `the backup is of version ${version}, which is not known here; update this package`);
    }
    this.#digest = begin;
    const { kind, body } = await this.next();
    if (kind !== HEADER) throw damaged("it has no header");
    return body;
  }

  async next(): Promise<{ kind: number; body: Uint8Array<ArrayBuffer> }> {
    const cut = () => damaged("it ends early");
    const head = await this.#input.take(HEAD_BYTES, cut);
    const kind = head[0] as number;
    const length = new DataView(head.buffer, head.byteOffset).getUint32(1, true);
    if (length > (kind === CHUNK ? CHUNK_BYTES_MAX : FACTS_BYTES_MAX)) throw damaged("a record is longer than any may be");
    const body = await this.#input.take(length, cut);
    const told = await this.#input.take(DIGEST_BYTES, cut);
    this.#digest = await digest(this.#digest, head, body);
    if (this.#digest.some((byte, at) => byte !== told[at])) throw damaged("a checksum does not fit");
    return { kind, body };
  }
}

/** Bytes as they come, taken as they are needed. */
class Input {
  readonly #parts: AsyncIterator<Uint8Array>;
  #rest: Uint8Array = new Uint8Array();

  constructor(source: AsyncIterable<Uint8Array>) {
    this.#parts = source[Symbol.asyncIterator]();
  }

  /** So many bytes, as a copy. The length was checked: it is what a record may have. */
  async take(length: number, cut: () => HeadwaterError): Promise<Uint8Array<ArrayBuffer>> {
    const taken = new Uint8Array(length);
    for (let at = 0; at < length; ) {
      if (this.#rest.length === 0 && !(await this.#more())) throw cut();
      const part = this.#rest.subarray(0, length - at);
      taken.set(part, at);
      at += part.length;
      this.#rest = this.#rest.subarray(part.length);
    }
    return taken;
  }

  async isAtEnd(): Promise<boolean> {
    while (this.#rest.length === 0) if (!(await this.#more())) return true;
    return false;
  }

  async #more(): Promise<boolean> {
    const { done, value } = await this.#parts.next();
    if (done !== true) this.#rest = value;
    return done !== true;
  }
}

/** The parts of a stream: browsers do not let one iterate over it. */
export async function* partsOf(stream: ReadableStream<Uint8Array>): AsyncGenerator<Uint8Array> {
  const reader = stream.getReader();
  try {
    for (let part = await reader.read(); !part.done; part = await reader.read()) yield part.value;
  } finally {
    // Whoever stops early wants no more of it.
    await reader.cancel().catch(() => undefined);
  }
}

function headerOf(body: Uint8Array): BackupHeader {
  const { database, generation, bookmark, createdAt } = factsOf(body);
  const isText = [database, generation, createdAt].every((fact) => typeof fact === "string");
  if (!isText || (bookmark !== null && typeof bookmark !== "string")) throw damaged("its header says too little");
  return { database, generation, bookmark, createdAt };
}

function documentOf(body: Uint8Array): { name: string; bytes: number; chunks: number } {
  const { name, bytes, chunks } = factsOf(body);
  const isNamed = typeof name === "string" && name !== "" && new TextEncoder().encode(name).length <= NAME_BYTES_MAX;
  const isCounted = Number.isSafeInteger(bytes) && bytes > 0 && chunks === Math.ceil(bytes / CHUNK_BYTES_MAX);
  if (!isNamed || !isCounted) throw damaged("a document is announced wrongly");
  return { name, bytes, chunks };
}

function factsOf(body: Uint8Array): Record<string, any> {
  try {
    const facts: unknown = JSON.parse(new TextDecoder("utf-8", { fatal: true }).decode(body));
    if (typeof facts === "object" && facts !== null) return facts;
  } catch {
    // It has its checksum, so whoever wrote it meant something else.
  }
  throw damaged("a record does not read");
}

function damaged(what: string): HeadwaterError {
  return new HeadwaterError("CORRUPT", `the backup is not whole: ${what}. It was cut off or changed; fetch it again from its source`);
}

async function digest(...parts: Uint8Array<ArrayBuffer>[]): Promise<Uint8Array<ArrayBuffer>> {
  const { subtle } = globalThis.crypto ?? {};
  if (subtle === undefined) {
    throw new HeadwaterError("MALFORMED", "checksums need a secure context: serve the page over https, or from localhost");
  }
  return new Uint8Array(await subtle.digest("SHA-256", concat(parts)));
}

function concat(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const [only] = parts;
  if (parts.length === 1 && only !== undefined) return only as Uint8Array<ArrayBuffer>;
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}
