/** Files over HTTP: one question to a node each. It knows addresses and answers, and nothing of what is kept here. */

import { fromPlain, HeadwaterError, type PlainError, toHeadwaterError } from "../errors.js";
import type { Stage } from "../types.js";
import { CHUNK_BYTES, type FileName, type Manifest } from "./manifest.js";
import type { Span } from "./plan.js";

/** How long a node has to answer a question, besides what it was asked to wait. */
const ANSWER_MS_MAX = 30_000;

/** What a node says of a file. */
export interface FileStatus {
  readonly id: string;
  readonly size: number;
  /** The media type that it was put with, or nothing. */
  readonly type: string;
  readonly missing: readonly Span[];
  /** How far it has come: `"local"` while chunks are missing. */
  readonly stage: Stage;
}

/** The nodes of a database, as places of files. The one that failed last is asked last. */
export class Transfer {
  readonly #urls: readonly string[];
  #at = 0;

  /** For the addresses of the sync sockets. */
  constructor(syncUrls: readonly string[]) {
    this.#urls = syncUrls.map((url) => url.replace(/^ws/, "http"));
  }

  /** Another node is asked from now on. */
  turn(): void {
    this.#at += 1;
  }

  /** Announces a file; answers what is missing of it. */
  async begin(manifest: Manifest, type: string, signal: AbortSignal): Promise<FileStatus> {
    const { id, size, hashes } = manifest;
    const query = { size: String(size), ...(type === "" ? {} : { type }) };
    return (await this.#ask(id, query, { method: "POST", body: hashes, signal })).json();
  }

  /** Brings a chunk. */
  async send(id: string, n: number, bytes: Uint8Array<ArrayBuffer>, signal: AbortSignal): Promise<void> {
    const response = await this.#ask(`${id}/${n}`, {}, { method: "POST", body: bytes, signal });
    await response.body?.cancel();
  }

  /** How far a file has come, as soon as it has come to a stage, or else after a time. */
  async status(id: string, stage: Stage, timeoutMs: number, signal: AbortSignal): Promise<FileStatus> {
    return (await this.#ask(id, { stage, timeout: String(timeoutMs) }, { signal }, timeoutMs)).json();
  }

  /** The digests of a file's chunks; whether they are is the caller's to check. */
  async hashes({ id }: FileName, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return bytesOf(await this.#ask(`${id}/hashes`, {}, { signal }));
  }

  /** A chunk; whether it is one is the caller's to check. */
  async chunk(id: string, n: number, signal: AbortSignal): Promise<Uint8Array<ArrayBuffer>> {
    return bytesOf(await this.#ask(`${id}/${n}`, {}, { signal }), CHUNK_BYTES);
  }

  async #ask(path: string, query: Record<string, string>, init: RequestInit, patienceMs = 0): Promise<Response> {
    const url = new URL(this.#urls[this.#at % this.#urls.length] as string);
    url.pathname = url.pathname.replace(/sync$/, `files/${path}`);
    for (const [name, value] of Object.entries(query)) url.searchParams.set(name, value);
    const late = new AbortController();
    const timer = setTimeout(() => late.abort(), ANSWER_MS_MAX + patienceMs);
    const abort = () => late.abort();
    init.signal?.addEventListener("abort", abort);
    if (init.signal?.aborted) abort();
    try {
      const response = await fetch(url, { ...init, signal: late.signal });
      if (response.ok) return response;
      throw await refusal(response);
    } catch (error) {
      throw toHeadwaterError(error, "OFFLINE", "the node did not answer");
    } finally {
      clearTimeout(timer);
      init.signal?.removeEventListener("abort", abort);
    }
  }
}

async function bytesOf(response: Response, bytesMax = Infinity): Promise<Uint8Array<ArrayBuffer>> {
  try {
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (bytes.length <= bytesMax) return bytes;
  } catch (cause) {
    throw new HeadwaterError("OFFLINE", "the connection ended in the middle of an answer", { cause });
  }
  throw new HeadwaterError("CORRUPT", "the node's answer is longer than a chunk");
}

async function refusal(response: Response): Promise<HeadwaterError> {
  const plain = (await response.json().catch(() => undefined)) as Partial<PlainError> | undefined;
  const { code, message } = plain ?? {};
  if (typeof code === "string" && typeof message === "string") return fromPlain({ code, message });
  return new HeadwaterError("OFFLINE", `the node answered ${response.status}`);
}
