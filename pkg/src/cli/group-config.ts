/** `--group`: a group's configuration from a file or from the command line. The worker checks what it means. */

import { readFileSync } from "node:fs";

import { malformed } from "../errors.js";

/** The configuration as text, with `self` in it. */
export function readGroup(given: string, self: string | undefined): string {
  const isInline = given.trimStart().startsWith("{");
  const where = isInline ? "--group" : given;
  const group = parse(isInline ? given : readText(given), where);
  if (self !== undefined) group["self"] = self;
  const { members } = group;
  if (!Array.isArray(members)) throw malformed(`${where} has no list of members`);
  const names = members.map((member: { name?: unknown } | null) => String(member?.name));
  if (!names.includes(String(group["self"]))) {
    throw malformed(`${where}: self is ${JSON.stringify(group["self"])}, and the members are ${names.join(", ")}; see --self`);
  }
  return JSON.stringify(group);
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
