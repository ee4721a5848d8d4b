/** The Durable Objects of a group's members: what they are named, and which of them one is. */

import { fromPlain, HeadwaterError, type PlainError } from "../../errors.js";
import type { EdgeNamespace, EdgeStub } from "../cloudflare.js";
import type { Command, Done } from "./command.js";
import type { GroupConfig } from "./config.js";

/** Cannot be in a member's name, nor in a database's. */
const BETWEEN = "\u0000";

/** An answer as objects give it each other: what they throw would lose its code on the way. */
export type Outcome<T> = { readonly ok: T } | { readonly error: PlainError };

/** What was answered; throws what was thrown there. */
export function valueOf<T>(outcome: Outcome<T>): T {
  if ("ok" in outcome) return outcome.ok;
  throw fromPlain(outcome.error);
}

/**
 * A node's object as its worker sees it. Besides requests it has methods, which the platform lets nobody call but code of
 * the same worker; no request is ever taken for one of them.
 */
export interface NodeStub extends EdgeStub {
  /** Another member's call. */
  called(database: string, bytes: Uint8Array): Promise<Outcome<Uint8Array>>;
  /** Another member's call that concerns files. */
  calledForFiles(database: string, bytes: Uint8Array): Promise<Outcome<Uint8Array>>;
  /** An operator's command; one that was passed on already goes no further. */
  administer(database: string, command: Command, isPassedOn: boolean): Promise<Outcome<Done>>;
}

/** Finds the object of whichever member is named, or of the one that answers where none is. */
export type ObjectAt = (member: string | null) => NodeStub;

/** The namespace of nodes. */
export type NodeNamespace = EdgeNamespace<NodeStub>;

/** The object of a database at a member; without a group, at the one node that there is. */
export function objectOf(
  namespace: NodeNamespace,
  group: GroupConfig | undefined,
  member: string | undefined,
  database: string,
): NodeStub {
  const id = namespace.idFromName(nameOf(member, database)) as never;
  const locationHint = group?.members.find(({ name }) => name === member)?.locationHint;
  return locationHint === undefined ? namespace.get(id) : namespace.get(id, { locationHint });
}

/** An object knows which member it is from its own id: no request has to say it, and none could say it wrongly. */
export function ownName(id: unknown, namespace: NodeNamespace, { members }: GroupConfig, database: string): string {
  const own = members.find(({ name }) => String(namespace.idFromName(nameOf(name, database))) === String(id));
  if (own !== undefined) return own.name;
  throw new HeadwaterError("NOT_FOUND", "this object is no member of the group: only `route` knows the objects of one");
}

function nameOf(member: string | undefined, database: string): string {
  return member === undefined ? database : member + BETWEEN + database;
}
