/**
 * Has every other member of the group hold every file that is whole here, and knows who does. Each member gets from whoever
 * told it, chunk by chunk; a file has no leader of its own, since its name says what is in it.
 */

import { HeadwaterError } from "../../errors.js";
import { inParallel, numbersIn } from "../../files/plan.js";
import type { Stage } from "../../types.js";
import { type Alarms, Due } from "../alarms.js";
import type { GroupMember } from "../group/config.js";
import type { Membership } from "../group/member.js";
import type { Keeper } from "./keeper.js";
import { decode, encode, type FileMessage, type HoldAnswer } from "./messages.js";

/** How long a member has for an answer, and how long it gets chunks before it says how far it is. */
const CALL_MS_MAX = 30_000;
const PULL_MS = 10_000;
/** Chunks that are got at once, and files that are looked up at once. */
const WIDTH = 2;
const FILES_AT_ONCE = 16;
/** How soon a member that does not answer is asked again, at first and at last. */
const [PAUSE_MS, PAUSE_MS_MAX] = [500, 300_000];

/** One member's part in replicating files. */
export class Replicator {
  readonly #keeper: Keeper;
  readonly #membership: Membership;
  readonly #leader: () => string | undefined;
  readonly #changed: () => void;
  readonly #links: readonly Link[];
  readonly #teller: Link;
  readonly #pulling = new Map<string, Promise<boolean>>();
  #isOver = false;

  /** Asks nothing yet. `changed` is called when a member holds a file that it did not. */
  constructor(
    keeper: Keeper,
    membership: Membership,
    leader: () => string | undefined,
    alarms: Alarms,
    changed: () => void,
  ) {
    this.#keeper = keeper;
    this.#membership = membership;
    this.#leader = leader;
    this.#changed = changed;
    const others = membership.group.members.filter(({ name }) => name !== membership.me);
    this.#teller = new Link("files begun", alarms, () => this.#tell());
    this.#links = others.map((member) => new Link(`files to ${member.name}`, alarms, () => this.#bring(member)));
  }

  /** Goes on with whatever is not everywhere yet. */
  wake(): void {
    if (!this.#keeper.tables.isTold) this.#teller.wake();
    for (const link of this.#links) link.wake();
  }

  /** Time has passed. */
  tick(): void {
    for (const link of [this.#teller, ...this.#links]) link.due.look();
  }

  /** No more. */
  stop(): void {
    this.#isOver = true;
    for (const link of [this.#teller, ...this.#links]) link.due.stop();
  }

  /** How far a file is that is whole here, as far as is known. */
  stageOf(id: string): Stage {
    const { me, group } = this.#membership;
    const holders = new Set([me, ...this.#keeper.tables.holders(id)]);
    const voters = group.members.filter(({ priority }) => priority !== undefined).map(({ name }) => name);
    const leader = this.#leader();
    if (leader === undefined || !holders.has(leader)) return "local";
    const count = voters.filter((name) => holders.has(name)).length;
    if (count === voters.length) return "all";
    return count >= group.quorum ? "quorum" : "leader";
  }

  /** What others hold and this member does not: the leader is asked first. */
  async fetch(message: FileMessage): Promise<Uint8Array<ArrayBuffer> | undefined> {
    const leader = this.#leader();
    const { me, group } = this.#membership;
    const others = group.members.filter(({ name }) => name !== me);
    others.sort((left, right) => Number(right.name === leader) - Number(left.name === leader));
    for (const other of others) {
      const bytes = await this.ask(other, message).catch(() => undefined);
      if (bytes !== undefined) return bytes;
    }
    return undefined;
  }

  /** Asks all others; throws if one does not answer. */
  async askAll(message: FileMessage): Promise<Uint8Array<ArrayBuffer>[]> {
    const { me, group } = this.#membership;
    return Promise.all(group.members.filter(({ name }) => name !== me).map((other) => this.ask(other, message)));
  }

  /** Another member holds a file: has this one hold it, too. Answers after a while, whether it is whole or not. */
  async hold(message: FileMessage & { readonly ask: "hold" }): Promise<HoldAnswer> {
    const { from, id } = message;
    const pulling = this.#pulling.get(id) ?? this.#pull(message).finally(() => this.#pulling.delete(id));
    this.#pulling.set(id, pulling);
    const isHeld = await pulling;
    if (isHeld) {
      this.#keeper.tables.held(id, from);
      this.#changed();
      this.wake();
    }
    return { isHeld };
  }

  async ask(member: GroupMember, message: FileMessage): Promise<Uint8Array<ArrayBuffer>> {
    const to = { member: member.name, address: member.address, timeoutMs: CALL_MS_MAX };
    return (await this.#membership.peers.files(to, encode(message))) as Uint8Array<ArrayBuffer>;
  }

  async #pull({ from, id, size, type }: FileMessage & { readonly ask: "hold" }): Promise<boolean> {
    const endMs = Date.now() + PULL_MS;
    const source = this.#membership.group.members.find(({ name }) => name === from);
    if (source === undefined) throw new HeadwaterError("NOT_FOUND", `${from} is no member of the group`);
    const kept =
      this.#keeper.find(id) ??
      (await this.#keeper.announce({ id, size }, type, await this.ask(source, { ask: "hashes", id })));
    await inParallel(numbersIn(kept.missing), WIDTH, async (n) => {
      if (Date.now() > endMs || this.#isOver) return;
      await this.#keeper.take(id, n, await this.ask(source, { ask: "chunk", id, n }));
    });
    return this.#keeper.tables.find(id)?.missing === 0;
  }

  /** A member whose storage is new may have been taken to hold files. */
  async #tell(): Promise<void> {
    const { tables } = this.#keeper;
    if (this.#isOver || !tables.isMade || tables.isTold) return;
    await this.askAll({ ask: "empty", from: this.#membership.me });
    tables.told();
  }

  /** Brings a member everything that it is not known to hold. */
  async #bring(member: GroupMember): Promise<void> {
    const { tables } = this.#keeper;
    for (let files = this.#unheld(member); files.length > 0; files = this.#unheld(member)) {
      for (const { id, size, type } of files) {
        const message = { ask: "hold", from: this.#membership.me, id, size, type } as const;
        const { isHeld } = decode(await this.ask(member, message)) as HoldAnswer;
        if (this.#isOver) return;
        if (!isHeld || tables.find(id) === undefined) continue;
        tables.held(id, member.name);
        this.#changed();
      }
    }
  }

  #unheld({ name }: GroupMember): { id: string; size: number; type: string }[] {
    return this.#isOver ? [] : this.#keeper.tables.unheldBy(name, FILES_AT_ONCE);
  }
}

/** The way to one member: one run at a time, and again after a while if that failed. */
class Link {
  readonly due: Due;
  readonly #run: () => Promise<void>;
  #isRunning = false;
  #isAgain = false;
  #pauseMs = PAUSE_MS;

  constructor(who: string, alarms: Alarms, run: () => Promise<void>) {
    this.#run = run;
    this.due = new Due(who, alarms, () => this.wake());
  }

  wake(): void {
    this.#isAgain = true;
    if (!this.#isRunning) void this.#go();
  }

  async #go(): Promise<void> {
    this.#isRunning = true;
    while (this.#isAgain) {
      this.#isAgain = false;
      try {
        await this.#run();
        this.#pauseMs = PAUSE_MS;
      } catch {
        // A member that is not there is nothing to tell of each time: its lag is told.
        this.due.at(Date.now() + this.#pauseMs);
        this.#pauseMs = Math.min(2 * this.#pauseMs, PAUSE_MS_MAX);
      }
    }
    this.#isRunning = false;
  }
}
