/**
 * A node as a member of its group: what it asks of other members and of the lease store is asked, and each question gets
 * exactly one answer, in time. It decides nothing.
 */

import type { AdminDoneEffect, CallEffect, GroupEffect } from "../../effects.js";
import { fromPlain, HeadwaterError, toHeadwaterError } from "../../errors.js";
import type { Node } from "../../generated/node/glue.js";
import type { LeaseStore } from "../lease/lease-store.js";
import { Pending } from "../pending.js";
import { type Command, type Done, patienceMs } from "./command.js";
import type { GroupConfig } from "./config.js";
import type { Peers } from "./peers.js";
import { Rouser } from "./rouse.js";

/** How many calls of others may be under way at once; each holds up to `CALL_BYTES_MAX`. */
const CALLS_MAX = 64;
/** After which an answer to a call is of no use to whoever asked. */
const CALL_MS_MAX = 60_000;
const COMMANDS_MAX = 16;

/** What a member works with. */
export interface Membership {
  readonly me: string;
  readonly database: string;
  readonly group: GroupConfig;
  readonly leases: LeaseStore;
  readonly peers: Peers;
}

/** The way to the node. */
export interface Inputs {
  /** Passes something to it; throws what it refuses. */
  input(f: (node: Node, now: number) => void): void;
  /** Passes it an answer, unless it is gone: there is nobody to whom an error could be thrown. */
  tell(f: (node: Node, now: number) => void): void;
}

/** One node's membership. */
export class Member {
  readonly membership: Membership;
  readonly #inputs: Inputs;
  readonly #leader: () => string | undefined;
  readonly #calls = new Pending<Uint8Array>({ max: CALLS_MAX, what: "calls of other members" });
  readonly #commands = new Pending<Done>({ max: COMMANDS_MAX, what: "commands" });
  readonly #rouser: Rouser;

  /** Asks nothing yet. `leader` says who leads, if the node knows. */
  constructor(membership: Membership, inputs: Inputs, leader: () => string | undefined) {
    this.membership = membership;
    this.#inputs = inputs;
    this.#leader = leader;
    this.#rouser = new Rouser(membership);
  }

  /** Another member asks. */
  called(bytes: Uint8Array): Promise<Uint8Array> {
    const start = (id: number) => this.#inputs.input((node, now) => node.called(id, bytes, now));
    return inTime(CALL_MS_MAX, (signal) => this.#calls.begin(start, signal));
  }

  /** An operator asks. What only the leader can do is passed on to it, once. */
  async administer(command: Command, isPassedOn: boolean): Promise<Done> {
    try {
      const start = (id: number) => this.#inputs.input((node, now) => begin(node, id, command, now));
      return await inTime(patienceMs(command), (signal) => this.#commands.begin(start, signal));
    } catch (error) {
      const leader = this.#leader();
      const isElsewhere = (error as HeadwaterError).code === "NOT_LEADER" && leader !== this.membership.me;
      if (command.name !== "switchover" || isPassedOn || !isElsewhere || leader === undefined) throw error;
      const { address = "" } = this.membership.group.members.find(({ name }) => name === leader) ?? {};
      return this.membership.peers.administer({ member: leader, address, timeoutMs: patienceMs(command) }, command);
    }
  }

  /** Does what the node wants done outside of it. */
  execute(effect: Exclude<GroupEffect, { type: "event" }>): void {
    switch (effect.type) {
      case "call":
        return void this.#call(effect);
      case "reply":
        return this.#calls.resolve(effect.call, effect.bytes);
      case "readRecord":
        return void this.#read(effect.token);
      case "swapRecord":
        return void this.#swap(effect.token, effect.expected, effect.text);
      case "adminDone":
        return this.#done(effect);
    }
  }

  /** The node is gone. */
  fail(error: HeadwaterError): void {
    this.#rouser.stop();
    this.#calls.fail(error);
    this.#commands.fail(error);
  }

  async #call({ call, to, address, bytes, timeoutMs }: CallEffect): Promise<void> {
    try {
      const answer = await this.membership.peers.call({ member: to, address, timeoutMs }, bytes);
      this.#inputs.tell((node, now) => node.answered(call, answer, undefined, undefined, now));
    } catch (error) {
      const { code, message } = toHeadwaterError(error, "OFFLINE", to);
      this.#inputs.tell((node, now) => node.answered(call, undefined, code, message, now));
    }
  }

  async #read(token: number): Promise<void> {
    const { leases, database } = this.membership;
    try {
      const held = await leases.read(database);
      if (held === undefined) void this.#rouser.rouse();
      this.#inputs.tell((node, now) => node.record(token, held?.record, held?.revision, undefined, undefined, now));
    } catch (error) {
      const { code, message } = storeFailure(error);
      this.#inputs.tell((node, now) => node.record(token, undefined, undefined, code, message, now));
    }
  }

  async #swap(token: number, expected: string | undefined, text: string): Promise<void> {
    const { leases, database } = this.membership;
    try {
      const swap = await leases.swap(database, expected, text);
      const [record, revision] = swap.swapped ? [undefined, swap.revision] : [swap.current?.record, swap.current?.revision];
      this.#inputs.tell((node, now) => node.swapped(token, swap.swapped, record, revision, undefined, undefined, now));
    } catch (error) {
      const { code, message } = storeFailure(error);
      this.#inputs.tell((node, now) => node.swapped(token, false, undefined, undefined, code, message, now));
    }
  }

  #done({ id, error, epoch, leader, pauseMs }: AdminDoneEffect): void {
    if (error !== undefined) return this.#commands.reject(id, fromPlain(error));
    this.#commands.resolve(id, { epoch, leader, pauseMs } as Done);
  }
}

function begin(node: Node, id: number, command: Command, now: number): void {
  if (command.name === "promote") node.promote(id, Date.now(), command.acceptDataLoss, now);
  else if (command.name === "topology") node.topology(id, command.to, command.timeoutMs, now);
  else node.switchover(id, command.to, command.timeoutMs, now);
}

function storeFailure(error: unknown): HeadwaterError {
  return toHeadwaterError(error, "STORAGE_UNAVAILABLE", "the lease store failed");
}

async function inTime<T>(timeoutMs: number, begin: (signal: AbortSignal) => Promise<T>): Promise<T> {
  const late = new AbortController();
  const timer = setTimeout(() => late.abort(), timeoutMs);
  try {
    return await begin(late.signal);
  } catch (error) {
    if (!late.signal.aborted) throw error;
    throw new HeadwaterError("TIMEOUT", `the node did not answer within ${timeoutMs} ms; the outcome is unknown`, { cause: error });
  } finally {
    clearTimeout(timer);
  }
}
