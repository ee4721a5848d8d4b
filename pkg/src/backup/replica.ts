/** What a replica holds as a backup, and a backup into a replica: as writes of its own, with receipts. */

import type { Document } from "../document.js";
import type { Engine } from "../engine.js";
import { malformed } from "../errors.js";
import type { Receipt } from "../receipt.js";
import type { Store } from "../store/store.js";
import type { WaitOptions } from "../types.js";
import { type BackupTotals, BackupWriter, partsOf, readBackup } from "./format.js";

/** How long a document may take to be read from local storage unless it is said. */
const LOAD_MS = 30_000;

/** How far an export or an import has come. */
export interface BackupProgress extends BackupTotals {
  /** The document that was done last. */
  readonly doc: string;
}

/** What {@link Database.export} takes. */
export interface ExportOptions extends WaitOptions {
  /** Which documents; all that are stored here unless it is said. */
  readonly docs?: readonly string[] | undefined;
  /** Called after each document. */
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
}

/** What {@link Database.import} takes. */
export interface ImportOptions extends WaitOptions {
  /** Called after each document. */
  readonly onProgress?: ((progress: BackupProgress) => void) | undefined;
}

/** A backup in any form that has its bytes. */
export type BackupSource = Blob | ReadableStream<Uint8Array> | AsyncIterable<Uint8Array> | Uint8Array | ArrayBuffer;

/** What an import wrote. */
export interface Imported extends BackupTotals {
  /** Of each document of which something was not there: the receipt of the last write that brings it. */
  readonly receipts: readonly Receipt[];
}

/** One opening's side of it. */
export interface Local {
  readonly database: string;
  readonly engine: Engine;
  readonly store: Store;
}

/** Streams what is here, a document at a time. */
export function exportReplica(local: Local, options: ExportOptions): ReadableStream<Uint8Array> {
  const parts = backup(local, options);
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done === true) controller.close();
      else controller.enqueue(value);
    },
    async cancel() {
      await parts.return(undefined);
    },
  });
}

async function* backup(local: Local, options: ExportOptions): AsyncGenerator<Uint8Array> {
  const { database, engine, store } = local;
  engine.checkOpen();
  const names = options.docs ?? (await namesOf(engine, store));
  const writer = new BackupWriter();
  const generation = engine.status().generation ?? "0".repeat(16);
  yield await writer.begin({ database, generation, bookmark: null, createdAt: new Date().toISOString() });
  for (const name of names) {
    const update = await within(engine, name, options, (doc) => doc.handle.encodeState() as Uint8Array<ArrayBuffer>);
    yield* writer.document({ name, update });
    options.onProgress?.({ ...writer.totals, doc: name });
  }
  yield await writer.end();
}

/** Takes in a backup, a document at a time; each that has proved whole is written at once. */
export async function importReplica({ engine }: Local, source: BackupSource, options: ImportOptions): Promise<Imported> {
  const receipts: Receipt[] = [];
  const done = { documents: 0, bytes: 0 };
  for await (const part of readBackup(bytesOf(source))) {
    engine.checkOpen();
    if (part.kind !== "document") continue;
    const receipt = await within(engine, part.name, options, (doc) => engine.transactions.import(doc, part.update));
    if (receipt !== undefined) receipts.push(receipt);
    done.documents += 1;
    done.bytes += part.update.length;
    options.onProgress?.({ ...done, doc: part.name });
  }
  return { ...done, receipts };
}

/** Works on a document, and leaves it open if it was. */
async function within<T>(engine: Engine, name: string, options: WaitOptions, f: (doc: Document) => T): Promise<T> {
  const isOpen = engine.documents.get(name) !== undefined;
  const doc = await engine.documents.open(name, options.timeoutMs ?? LOAD_MS, options.signal);
  try {
    return f(doc);
  } finally {
    if (!isOpen) doc.close();
  }
}

/** The documents of which something is stored here, in their own rows or in writes that are on their way, or that are open. */
async function namesOf(engine: Engine, store: Store): Promise<string[]> {
  const unsent = engine.driver.ask((replica) => replica.docsInOutbox());
  const names = new Set<string>([...engine.documents.names(), ...unsent]);
  const rows = await store.scan({ table: "docs", from: new Uint8Array() });
  for (let at = 0; at < rows.length; at += 2) names.add(new TextDecoder().decode(rows[at]));
  return [...names].sort();
}

function bytesOf(source: BackupSource): AsyncIterable<Uint8Array> {
  if (source instanceof ReadableStream) return partsOf(source);
  if (source instanceof Blob) return partsOf(source.stream());
  if (source instanceof Uint8Array) return once(source);
  if (source instanceof ArrayBuffer) return once(new Uint8Array(source));
  if (typeof (source as AsyncIterable<Uint8Array> | undefined)?.[Symbol.asyncIterator] === "function") return source;
  throw malformed("a backup is a Blob, a stream or bytes");
}

async function* once(bytes: Uint8Array): AsyncGenerator<Uint8Array> {
  yield bytes;
}
