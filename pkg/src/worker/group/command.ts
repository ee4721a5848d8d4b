/** What operators may ask of a member, as it comes over HTTP. What it does is the core's matter. */

import { malformed } from "../../errors.js";
import { known, optional } from "../../options.js";
import { TOPOLOGIES } from "./config.js";

/** How long a switchover may take unless it is said. */
const TIMEOUT_MS = 10_000;
const TIMEOUT_MS_MAX = 600_000;
/** How long a promotion may take: it asks the lease store, and waits for nobody else. */
const PROMOTE_MS_MAX = 30_000;

/** A command. */
export type Command =
  | { readonly name: "switchover"; readonly to: string | undefined; readonly timeoutMs: number }
  | { readonly name: "promote"; readonly member: string | undefined; readonly acceptDataLoss: boolean }
  | { readonly name: "topology"; readonly to: string; readonly timeoutMs: number };

/** What a command did. */
export interface Done {
  /** The epoch that began with it. */
  readonly epoch: number;
  /** Who leads it. */
  readonly leader: string;
  /** For how long no write was taken. */
  readonly pauseMs: number;
}

/** How long whoever passes a command on, or has it done, waits for the end of it. */
export function patienceMs(command: Command): number {
  return command.name === "promote" ? PROMOTE_MS_MAX : command.timeoutMs + TIMEOUT_MS;
}

/** Reads the body of a request; an empty one is one without options. The topology may stand in the query instead. */
export function parseCommand(name: Command["name"], body: string, query: URLSearchParams): Command {
  const options = (body.trim() === "" ? {} : parse(body)) as Record<string, never>;
  if (name === "promote") {
    known(options, ["member", "acceptDataLoss"], name);
    const { member, acceptDataLoss = false } = options;
    optional(member, "string", "member");
    optional(acceptDataLoss, "boolean", "acceptDataLoss");
    return { name, member, acceptDataLoss };
  }
  known(options, ["to", "timeoutMs"], name);
  const { to, timeoutMs = TIMEOUT_MS } = options;
  optional(to as undefined, "string", "to");
  if (!Number.isSafeInteger(timeoutMs) || timeoutMs < 1 || timeoutMs > TIMEOUT_MS_MAX) {
    throw malformed(`timeoutMs is ${JSON.stringify(timeoutMs)}; it is 1 to ${TIMEOUT_MS_MAX} milliseconds`);
  }
  if (name === "switchover") return { name, to, timeoutMs };
  const topology = to ?? query.get("to");
  if (topology !== null && TOPOLOGIES.includes(topology)) return { name, to: topology, timeoutMs };
  throw malformed(`to is ${JSON.stringify(topology)}; it can be ${TOPOLOGIES.join(" or ")}`);
}

function parse(body: string): unknown {
  try {
    return JSON.parse(body);
  } catch (cause) {
    throw Object.assign(malformed(`the body is no JSON: ${(cause as Error).message}`), { cause });
  }
}
