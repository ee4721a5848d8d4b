/** The files of one node: requests of clients and questions of members in, answers out. Made for each instance. */

import { HeadwaterError, malformed } from "../../errors.js";
import { CHUNK_BYTES, chunksOf, FILE_BYTES_MAX } from "../../files/manifest.js";
import { includes, type Span } from "../../files/plan.js";
import type { Stage } from "../../types.js";
import { onAbort } from "../../waits.js";
import { type Alarms, Due } from "../alarms.js";
import { bodyOf } from "../body.js";
import type { EdgeContext } from "../cloudflare.js";
import { json, respond } from "../http.js";
import type { Membership } from "../group/member.js";
import type { FileTarget } from "../path.js";
import { type Bucket, Chunks } from "./chunks.js";
import { Keeper, type Kept } from "./keeper.js";
import { decode, encode, messageOf } from "./messages.js";
import { Replicator } from "./replicator.js";
import { Sweeper } from "./sweeper.js";
import { FileTables } from "./tables.js";

/** Requests with bytes of a file that may be under way at once: what one of them has is in memory meanwhile. */
const REQUESTS_MAX = 32;
/** How long a request may wait for a stage. */
const TIMEOUT_MS_MAX = 60_000;
const HASHES_BYTES_MAX = chunksOf(FILE_BYTES_MAX) * 32;
const STAGES: readonly string[] = ["local", "leader", "quorum", "all"];

/** What files need of their node. */
export interface NodeFilesParts {
  readonly storage: EdgeContext["storage"];
  readonly alarms: Alarms;
  readonly database: string;
  readonly membership: Membership | undefined;
  readonly bucket: Bucket | undefined;
  readonly retentionMs: number;
  /** Who leads, in a group, as far as is known. */
  leader(): string | undefined;
  /** A document as one update, without what was deleted in it. */
  read(doc: string): Promise<Uint8Array>;
}

/** The files of one node. */
export class NodeFiles {
  readonly tables: FileTables;
  readonly #keeper: Keeper;
  readonly #replicator: Replicator | undefined;
  readonly #sweeper: Sweeper;
  readonly #sweep: Due;
  readonly #waiting = new Set<() => void>();
  #requests = 0;

  /** Goes on with what the instance before did not finish. */
  constructor(parts: NodeFilesParts) {
    const { storage, alarms, database, membership, bucket, retentionMs, leader } = parts;
    this.tables = new FileTables(storage.sql);
    const prefix = [membership?.me ?? "", database].map(encodeURIComponent).join("/");
    this.#keeper = new Keeper(storage, this.tables, new Chunks(storage.sql, bucket, prefix));
    const changed = () => [...this.#waiting].forEach((look) => look());
    const replicator = membership && new Replicator(this.#keeper, membership, leader, alarms, changed);
    this.#replicator = replicator;
    this.#sweeper = new Sweeper({
      keeper: this.#keeper,
      retentionMs,
      leads: () => membership === undefined || leader() === membership.me,
      read: parts.read,
      inUseElsewhere: async (ids) => {
        const answers = (await replicator?.askAll({ ask: "inUse", ids })) ?? [];
        return answers.flatMap((answer) => decode(answer) as string[]);
      },
      dropElsewhere: async (ids) => void (await replicator?.askAll({ ask: "drop", ids }).catch(() => undefined)),
    });
    this.#sweep = new Due("files", alarms, () => void this.#pass());
    this.#plan();
    // Not in the turn of the commit that brings the first mention.
    this.tables.onMade = () => queueMicrotask(() => replicator?.wake());
    if (this.tables.isMade) replicator?.wake();
  }

  /** Answers a client. */
  async answer(target: FileTarget, url: URL, request: Request): Promise<Response> {
    if (request.method !== "POST" && target.part === undefined) return this.#waited(target.id, url, request.signal);
    if (this.#requests >= REQUESTS_MAX) {
      throw new HeadwaterError("BUSY", `${REQUESTS_MAX} requests for files are under way at this node; try again in a moment`);
    }
    this.#requests += 1;
    try {
      return await (request.method === "POST" ? this.#take(target, url, request) : this.#give(target));
    } finally {
      this.#requests -= 1;
    }
  }

  /** Answers another member. */
  async called(bytes: Uint8Array): Promise<Uint8Array> {
    const message = messageOf(bytes);
    switch (message.ask) {
      case "hold": {
        const answer = await this.#hold(message);
        this.#plan();
        return encode(answer);
      }
      case "hashes":
        return this.tables.find(message.id)?.hashes ?? unknown(message.id);
      case "chunk":
        return (await this.#keeper.chunk(message.id, message.n)) ?? unknown(message.id);
      case "inUse":
        return encode(await this.#sweeper.inUse(message.ids));
      case "drop":
        await this.#sweeper.drop(message.ids);
        return encode({});
      case "empty":
        this.tables.forgetHolder(message.from);
        this.#replicator?.wake();
        return encode({});
    }
  }

  /** Time has passed. */
  tick(): void {
    this.#sweep.look();
    this.#replicator?.tick();
  }

  /** The instance is over. */
  stop(): void {
    this.#sweep.stop();
    this.#replicator?.stop();
  }

  async #take({ id, part }: FileTarget, url: URL, request: Request): Promise<Response> {
    if (part === undefined) {
      const { searchParams } = url;
      const hashes = await bodyOf(request, HASHES_BYTES_MAX, "the list of digests", "TOO_LARGE");
      const size = sizeOf(searchParams.get("size"));
      const kept = await this.#keeper.announce({ id, size }, searchParams.get("type") ?? "", hashes);
      this.#plan();
      if (kept.missing.length === 0) this.#replicator?.wake();
      return this.#status(kept);
    }
    if (part === "hashes") throw malformed("the digests of a file come with its announcement");
    const bytes = await chunkOf(request);
    const isWhole = await this.#keeper.take(id, part, bytes);
    if (isWhole) {
      this.#replicator?.wake();
      for (const look of [...this.#waiting]) look();
    }
    return json({ isWhole });
  }

  /** What is not here, another member may have. */
  async #give({ id, part }: FileTarget): Promise<Response> {
    const bytes =
      typeof part === "number"
        ? ((await this.#keeper.chunk(id, part)) ?? (await this.#replicator?.fetch({ ask: "chunk", id, n: part })))
        : (this.tables.find(id)?.hashes ?? (await this.#replicator?.fetch({ ask: "hashes", id })));
    return respond(bytes ?? unknown(id), 200, { "content-type": "application/octet-stream" });
  }

  /** How far a file is, at once or when it is as far as the request asks. */
  async #waited(id: string, url: URL, signal: AbortSignal | undefined): Promise<Response> {
    const stage = url.searchParams.get("stage") ?? "local";
    if (!STAGES.includes(stage)) throw malformed(`stage is ${JSON.stringify(stage)}; it can be ${STAGES.join(", ")}`);
    const timeoutMs = Number(url.searchParams.get("timeout") ?? 0);
    if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 0 || timeoutMs > TIMEOUT_MS_MAX) {
      throw malformed(`timeout is ${timeoutMs}; it is 0 to ${TIMEOUT_MS_MAX} milliseconds`);
    }
    const isThere = () => {
      const kept = this.#keeper.find(id) ?? unknown(id);
      return kept.missing.length > 0 || includes(this.#stageOf(kept), stage as Stage);
    };
    if (!isThere() && timeoutMs > 0) {
      this.#replicator?.wake();
      await new Promise<void>((resolve) => {
        const end = () => {
          clearTimeout(timer);
          clearInterval(leads);
          unlisten();
          this.#waiting.delete(look);
          resolve();
        };
        const look = () => {
          if (this.tables.find(id) === undefined || isThere()) end();
        };
        const timer = setTimeout(end, timeoutMs);
        // Who leads changes without telling; the stage follows from that.
        const leads = setInterval(look, 250);
        const unlisten = onAbort(signal, end);
        this.#waiting.add(look);
      });
    }
    return this.#status(this.#keeper.find(id) ?? unknown(id));
  }

  #status(kept: Kept): Response {
    const { file, missing } = kept;
    const status: { id: string; size: number; type: string; missing: readonly Span[]; stage: Stage } = {
      id: file.id,
      size: file.size,
      type: file.type,
      missing,
      stage: this.#stageOf(kept),
    };
    return json(status);
  }

  #stageOf({ file, missing }: Kept): Stage {
    if (missing.length > 0) return "local";
    return this.#replicator?.stageOf(file.id) ?? "all";
  }

  #hold(message: Parameters<Replicator["hold"]>[0]): ReturnType<Replicator["hold"]> {
    if (this.#replicator === undefined) throw new HeadwaterError("NOT_FOUND", "this node leads alone");
    return this.#replicator.hold(message);
  }

  async #pass(): Promise<void> {
    try {
      const next = await this.#sweeper.pass();
      if (next !== undefined) this.#sweep.at(Math.max(next, Date.now() + 100));
    } catch (error) {
      // Somebody did not answer: nothing is removed before all have.
      if (!(error instanceof HeadwaterError)) console.error("headwater: files are not swept:", error);
      this.#sweep.at(Date.now() + this.#sweeper.pauseMs);
    }
  }

  #plan(): void {
    const due = this.#sweeper.dueMs;
    if (due !== undefined) this.#sweep.at(due);
  }
}

/** The body; of a length that is told it is read at once, which makes half as much garbage. */
async function chunkOf(request: Request): Promise<Uint8Array<ArrayBuffer>> {
  const told = request.headers.get("content-length");
  if (told === null || Number(told) > CHUNK_BYTES) return bodyOf(request, CHUNK_BYTES, "the chunk", "TOO_LARGE");
  return new Uint8Array(await request.arrayBuffer());
}

function sizeOf(text: string | null): number {
  const size = Number(text);
  if (text !== null && /^\d{1,15}$/.test(text)) return size;
  throw malformed(`size is ${JSON.stringify(text)}; it is how many bytes the file has`);
}

function unknown(id: string): never {
  throw new HeadwaterError("NOT_FOUND", `there is no file ${id}`);
}
