/** `--group`: a group's configuration from a file or from the command line. The worker checks what it means. */

import { readFileSync } from "node:fs";

import { malformed } from "../errors.js";

/** A group's configuration. */
export interface GroupText {
  /** As the worker reads it. */
  readonly text: string;
  /** The member that the node is; without it the node is all of them. */
  readonly self: string | undefined;
}

/** Reads the configuration, and puts `self` into it if it is given. */
export function readGroup(given: string, self: string | undefined): GroupText {
  const isInline = given.trimStart().startsWith("{");
  const where = isInline ? "--group" : given;
  const group = parse(isInline ? given : readText(given), where);
  if (self !== undefined) group["self"] = self;
  const { members } = group;
  if (!Array.isArray(members)) throw malformed(`${where} has no list of members`);
  const names = members.map((member: { name?: unknown } | null) => String(member?.name));
  const { self: me } = group;
  if (me !== undefined && !names.includes(String(me))) {
    throw malformed(`${where}: self is ${JSON.stringify(me)}, and the members are ${names.join(", ")}`);
  }
  return { text: JSON.stringify(group), self: me as string | undefined };
}

/** A file as text, without the line break at its end. */
export function readText(path: string): string {
  try {
    return readFileSync(path, "utf8").trimEnd();
  } catch (cause) {
    throw malformed(`${path} cannot be read: ${(cause as Error).message}`);
  }
}

function parse(text: string, where: string): Record<string, unknown> {
  let value: unknown;
  try {
    value = JSON.parse(text);
  } catch (cause) {
    throw malformed(`${where} is no JSON: ${(cause as Error).message}`);
  }
  if (typeof value === "object" && value !== null) return value as Record<string, unknown>;
  throw malformed(`${where} is no object`);
}
