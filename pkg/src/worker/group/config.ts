/**
 * `HEADWATER_GROUP`: who belongs to a group, checked once. What a quorum, a name or a span may be is the core's to say,
 * which refuses what is left when a node is made of it.
 */

import { HeadwaterError, malformed } from "../../errors.js";
import { known, optional } from "../../options.js";
import { checkAddress } from "./address.js";

const WHERE = "HEADWATER_GROUP";
const SPANS = ["beatMs", "timeoutMs", "callMs", "electionSpanMs"] as const;
const LIMITS = ["maxLag", "lagAlarm"] as const;
/** How many of a group may lead. */
export const TOPOLOGIES: readonly string[] = ["single-leader", "multi-leader"];
const MINORITIES = ["writable", "read-only", "offline"];
/** As in the core: what a name may look like in an address, a line of a log, a record. */
const NAME = /^[a-z0-9-]{1,64}$/;

/** A member. */
export interface GroupMember {
  readonly name: string;
  /** For a voter, how much it is preferred as leader. */
  readonly priority: number | undefined;
  /** For an observer, how long it holds back what it has received, and which member feeds it if not the leader. */
  readonly delayMs: number;
  readonly via: string | undefined;
  /** Where the others find it; of objects of one worker nobody asks. */
  readonly address: string;
  readonly locationHint: string | undefined;
}

/** A group. */
export interface GroupConfig {
  /** The member that this process is; without it, every member is an object of this worker. */
  readonly self: string | undefined;
  readonly quorum: number;
  /** How many lead in a record that is made anew. */
  readonly topology: string;
  readonly members: readonly GroupMember[];
  /** What is not as the core has it by default. */
  readonly settings: readonly (readonly [name: string, value: number | string])[];
  /** Whether calls to other machines may go unencrypted. */
  readonly isInsecure: boolean;
}

/** Reads what the binding holds: JSON, as text or as the platform has read it. */
export function parseGroup(given: unknown): GroupConfig {
  try {
    return groupOf(typeof given === "string" ? JSON.parse(given) : given);
  } catch (error) {
    const { message } = error as Error;
    throw new HeadwaterError("MALFORMED", `${WHERE}: ${message}`, { cause: error });
  }
}

/** Whom a request is for that names nobody: the first of those with the highest priority, who leads a new group. */
export function preferredOf({ members }: GroupConfig): GroupMember {
  const priorities = members.map(({ priority = -1 }) => priority);
  return members[priorities.indexOf(Math.max(...priorities))] as GroupMember;
}

/** The group as wasm takes it: one fact on each line. */
export function describe(group: GroupConfig, me: string): string {
  const [seed] = crypto.getRandomValues(new BigUint64Array(1));
  const members = group.members.map(({ name, priority, delayMs, via, address }) => {
    if (priority !== undefined) return `voter ${name} priority ${priority} at ${address}`;
    return `observer ${name} delay_ms ${delayMs}${via === undefined ? "" : ` via ${via}`} at ${address}`;
  });
  const settings = group.settings.map(([name, value]) => `${name} ${value}`);
  return [`me ${me}`, `jitter ${seed}`, `quorum ${group.quorum}`, `topology ${group.topology}`, ...members, ...settings].join("\n");
}

function groupOf(given: Record<string, unknown>): GroupConfig {
  known(given, ["self", "quorum", "topology", "members", "settings"], "the group");
  const { self, quorum, topology = "single-leader", settings = {} } = given;
  known(settings as object, [...SPANS, ...LIMITS, "minority", "insecure"], "settings");
  const { minority, insecure, ...numbers } = settings as Record<string, unknown>;
  optional(self as undefined, "string", "self");
  optional(insecure as undefined, "boolean", "settings.insecure");
  if (!TOPOLOGIES.includes(topology as string)) {
    throw malformed(`topology is ${JSON.stringify(topology)}; it can be ${TOPOLOGIES.join(" or ")}`);
  }
  if (minority !== undefined && !MINORITIES.includes(minority as string)) {
    throw malformed(`settings.minority is ${JSON.stringify(minority)}; it can be ${MINORITIES.join(", ")}`);
  }
  const [isSpread, isInsecure] = [self !== undefined, insecure === true];
  if (!Array.isArray(given["members"]) || given["members"].length === 0) throw malformed("members is a list of at least one");
  const members = given["members"].map((member, place) => memberOf(member, `members[${place}]`, isSpread, isInsecure));
  const names = members.map(({ name }) => name);
  const twice = names.find((name, place) => names.indexOf(name) < place);
  if (twice !== undefined) throw malformed(`${twice} is there twice`);
  if (isSpread && !names.includes(self as string)) {
    throw malformed(`self is ${JSON.stringify(self)}; the members are ${names.join(", ")}`);
  }
  const stray = members.find(({ via }) => via !== undefined && !names.includes(via));
  if (stray !== undefined) throw malformed(`${stray.name} is fed via ${stray.via}; the members are ${names.join(", ")}`);
  const voters = members.filter(({ priority }) => priority !== undefined).length;
  if (whole(quorum, "quorum") < 1 || (quorum as number) > voters) {
    throw malformed(`quorum is ${quorum as number}; of ${voters} voters it can be 1 to ${voters}`);
  }
  return {
    self: self as string | undefined,
    quorum: quorum as number,
    topology: topology as string,
    members,
    settings: [
      ...Object.entries(numbers).map(([name, value]) => [name, whole(value, `settings.${name}`)] as const),
      ...(minority === undefined ? [] : [["minority", minority as string] as const]),
    ],
    isInsecure,
  };
}

function memberOf(given: Record<string, unknown>, where: string, isSpread: boolean, isInsecure: boolean): GroupMember {
  known(given, ["name", "priority", "observer", "delayMs", "via", "address", "locationHint"], where);
  const { name, priority, observer = false, delayMs, via, address, locationHint } = given;
  if (typeof name !== "string" || !NAME.test(name)) {
    throw malformed(`${where}.name is ${JSON.stringify(name)}; it has 1 to 64 lower-case letters, digits and hyphens`);
  }
  optional(observer as boolean, "boolean", `${where}.observer`);
  optional(locationHint as undefined, "string", `${where}.locationHint`);
  if (observer !== (priority === undefined)) {
    throw malformed(`${where} is either a voter with a priority, or an observer without one`);
  }
  optional(via as undefined, "string", `${where}.via`);
  if (!observer && (delayMs ?? via) !== undefined) throw malformed(`${where}: delayMs and via are for observers`);
  if (isSpread && address === undefined) throw malformed(`${where}.address is missing: with self, others are reached there`);
  return {
    name,
    priority: observer ? undefined : whole(priority, `${where}.priority`),
    delayMs: delayMs === undefined ? 0 : whole(delayMs, `${where}.delayMs`),
    via: via as string | undefined,
    // The group's record names one for every member.
    address: address === undefined ? `object:${name}` : checkAddress(address, `${where}.address`, isInsecure),
    locationHint: locationHint as string | undefined,
  };
}

function whole(value: unknown, name: string): number {
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw malformed(`${name} is ${JSON.stringify(value)}; it is a whole number, zero or more`);
}
