/** What the commands ask nodes over HTTP, and who answered. */

import { type ErrorCode, HeadwaterError, malformed } from "../errors.js";
import type { Given, Option } from "./command.js";

const URL_DEFAULT = "http://127.0.0.1:8787";
/** A node that answers nothing must not keep an operator from seeing the others. */
const STATUS_MS_MAX = 5_000;

/** How commands take the nodes' addresses. */
export const URL_OPTION: Readonly<Record<string, Option>> = {
  url: { value: "URL,...", help: `where nodes are, as many as there are (default ${URL_DEFAULT})` },
};

/** A member's place, as the node that streams to it knows. */
export interface MemberStatus {
  readonly name: string;
  readonly isVoter: boolean;
  readonly isConnected: boolean;
  readonly lagEntries: number;
  readonly lagBytes: number;
  readonly lagMs: number | null;
}

/** What a node says of a database: see `docs/http.md`. */
export interface NodeStatus {
  readonly role: string;
  readonly epoch: number;
  readonly lsn: number;
  readonly connections: number;
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly group?: {
    readonly me: string;
    readonly leader: string | null;
    readonly quorum: number;
    readonly stalenessMs: number | null;
    readonly isIsolated: boolean;
    readonly members: readonly MemberStatus[];
    readonly mergedEntries: number;
    readonly elections: number;
    readonly topology: string;
  } | null;
}

/** A node's answer, or why there is none. */
export interface Asked {
  readonly url: string;
  readonly status: NodeStatus | undefined;
  readonly problem: string;
}

/** The addresses that were given, without a slash at their ends. */
export function urlsOf(given: Given): string[] {
  return (given.text("url") ?? URL_DEFAULT).split(",").map((text) => {
    if (!/^https?:\/\/./.test(text) || !URL.canParse(text)) {
      throw malformed(`${JSON.stringify(text)} is no http address of a node`);
    }
    return text.replace(/\/+$/, "");
  });
}

/** Asks every node for its status; none is waited for longer than the others may take. */
export function askAll(urls: readonly string[], database: string): Promise<Asked[]> {
  return Promise.all(
    urls.map(async (url) => {
      try {
        const status = (await request(url, `/v1/${encodeURIComponent(database)}/status`, {}, STATUS_MS_MAX)) as NodeStatus;
        return { url, status, problem: status.failure?.code ?? "" };
      } catch (error) {
        return { url, status: undefined, problem: (error as HeadwaterError).code };
      }
    }),
  );
}

/** The nodes that answered; fails if none did. */
export function answered(asked: readonly Asked[]): (Asked & { status: NodeStatus })[] {
  const nodes = asked.filter((each): each is Asked & { status: NodeStatus } => each.status !== undefined);
  if (nodes.length > 0) return nodes;
  const told = asked.map(({ url, problem }) => `${url}: ${problem}`).join(", ");
  const isUnknown = asked.every(({ problem }) => problem === "NOT_FOUND");
  throw new HeadwaterError(isUnknown ? "NOT_FOUND" : "OFFLINE", `no node answered: ${told}`);
}

/** The node that leads. Of two that say so, the one with the higher epoch does; the other one has not heard yet. */
export function leaderOf(asked: readonly Asked[]): Asked & { status: NodeStatus } {
  const leaders = answered(asked).filter(({ status }) => status.role === "leader");
  const [leader] = leaders.sort((left, right) => Number(right.status.epoch) - Number(left.status.epoch));
  if (leader !== undefined) return leader;
  throw new HeadwaterError("NOT_LEADER", "none of these nodes leads; name all of them, or try again when one is elected");
}

/** What an operator's command answers. */
export interface Done {
  readonly epoch: number;
  readonly leader: string;
  readonly pauseMs: number;
}

/** Tells a node to do something. */
export async function command(
  url: string,
  { database, name, secret, body, timeoutMs }: {
    readonly database: string;
    readonly name: string;
    readonly secret: string;
    readonly body: object;
    readonly timeoutMs: number;
  },
): Promise<Done> {
  const path = `/v1/${encodeURIComponent(database)}/admin/${name}`;
  const headers = { authorization: `Bearer ${secret}`, "content-type": "application/json" };
  return (await request(url, path, { method: "POST", headers, body: JSON.stringify(body) }, timeoutMs)) as Done;
}

/** The path of a document, or of what is done to it. */
export function docPath(database: string, what: "docs" | "restore", doc: string): string {
  return `/v1/${encodeURIComponent(database)}/${what}/${doc.split("/").map(encodeURIComponent).join("/")}`;
}

/**
 * Asks the nodes one after the other until one can answer, and answers with the response, whose body takes as long as it
 * takes. What sends a body is made anew for each.
 */
export async function stream(
  urls: readonly string[],
  path: string,
  init: (RequestInit & { duplex?: string }) | (() => RequestInit & { duplex?: string }),
): Promise<Response> {
  let failure = new HeadwaterError("OFFLINE", "no node is reached");
  for (const url of urls) {
    let response: Response;
    try {
      response = await fetch(url + path, typeof init === "function" ? init() : init);
    } catch (cause) {
      failure = new HeadwaterError("OFFLINE", `${url} is not reached, or has ended the connection; try again`, { cause });
      continue;
    }
    if (response.ok) return response;
    const { code, message } = (await response.json().catch(() => ({}))) as { code?: ErrorCode; message?: string };
    failure = new HeadwaterError(code ?? "INTERNAL", message ?? `${url} answered ${response.status}`);
    if (code !== "NOT_LEADER" && response.status !== 503) break;
  }
  throw failure;
}

async function request(url: string, path: string, init: RequestInit, timeoutMs: number): Promise<unknown> {
  let response: Response;
  try {
    response = await fetch(url + path, { ...init, signal: AbortSignal.timeout(timeoutMs) });
  } catch (cause) {
    const isLate = (cause as Error).name === "TimeoutError";
    throw new HeadwaterError(isLate ? "TIMEOUT" : "OFFLINE", `${url} ${isLate ? "is too slow" : "is not reached"}`, { cause });
  }
  const body = (await response.json().catch(() => ({}))) as { code?: ErrorCode; message?: string };
  if (response.ok) return body;
  throw new HeadwaterError(body.code ?? "INTERNAL", body.message ?? `${url} answered ${response.status}`);
}
