/** Six tabs write at random while tabs close, crash, freeze and come back and the node goes: nothing is lost, all converge. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { Profile } from "../harness/browser.mjs";
import { owner } from "../harness/cleanup.mjs";
import { FULL } from "../harness/env.mjs";
import { figures, percentile, progress } from "../harness/figures.mjs";
import { Link } from "../harness/link.mjs";
import { Random } from "../harness/random.mjs";
import { Site } from "../harness/site.mjs";
import { pause, until } from "../harness/until.mjs";
import { Worker } from "../harness/worker.mjs";
import { agreed, allLive, allSettled, Tab } from "./tabs.mjs";

const LASTS_MS = FULL ? 120_000 : 20_000;
const STEPS_MIN = 20;
const TABS = 6;
/** So many tabs are left that can take over. */
const AWAKE_MIN = 3;
const DATABASE = "chaos";
const SHARED = ["shared/0", "shared/1"];
/** How long two connections at once may last: the browser tells the network of a killed tab in its own time. */
const OVERLAP_MS_MAX = 3_000;
const END_MS_MAX = 120_000;

/** @typedef {{ id: string, isText: boolean, docs: string[] }} Write */
/** @typedef {{ name: string, tab: Tab, part: string | null, phase: string, thawAt: number, history: string[] }} Member */

test("six tabs, whatever becomes of them, lose nothing", async (t) => {
  const random = Random.ofRun("tabs-chaos");
  const all = owner(t);
  const world = await World.start(all, random);
  const say = progress("tabs-chaos");
  const end = performance.now() + LASTS_MS;
  // On a busy machine little happens in the time; then it lasts longer.
  while (performance.now() < end || world.counts.steps < STEPS_MIN || world.takeovers.length === 0) {
    await world.step();
    say(`${world.counts.steps} steps, ${world.local.size} writes are local, ${world.takeovers.length} takeovers`);
    await pause(random.between(50, 900));
  }
  await world.heal();
  const lost = await world.lost();
  figures("tabs-chaos", {
    ...world.counts,
    writes: world.local.size,
    lost: lost.length,
    violations: world.violations.length,
    "sockets at once": world.sockets.most,
    takeovers: world.takeovers.length,
    "takeover ms": percentile(world.takeovers, 50),
    "takeover ms at most": Math.max(0, ...world.takeovers),
    "takeovers from frozen": world.fromFrozen.length,
    "takeover from frozen ms": percentile(world.fromFrozen, 50),
    "takeover from frozen ms at most": Math.max(0, ...world.fromFrozen),
  });
  assert.deepEqual(lost, [], "writes that were local and are not at the leader");
  assert.deepEqual(world.violations, []);
  assert.ok(world.local.size > 0 && world.takeovers.length + world.fromFrozen.length > 0, "too little happened");
});

/** The tabs, the node and what is known of them. */
class World {
  /** @type {Member[]} */
  members = [];
  /** Writes that were local, by name. @type {Map<string, Write>} */
  local = new Map();
  /** Of holders that were closed or crashed. @type {number[]} */
  takeovers = [];
  /** @type {number[]} */
  fromFrozen = [];
  /** @type {string[]} */
  violations = [];
  counts = { steps: 0, closed: 0, crashed: 0, frozen: 0, thawed: 0, opened: 0, "node outages": 0 };
  sockets = { most: 0, tooManySince: 0 };
  /** The holder has gone, and nobody has taken over yet. @type {{ since: number, into: number[] } | undefined} */
  #vacant;
  #random;
  #worker;
  #link;
  #site;
  #profile;
  #own = new Set();
  #nodeUpAt = 0;

  /**
   * @param {Random} random
   * @param {Worker} worker
   * @param {Link} link
   * @param {Site} site
   * @param {Profile} profile
   */
  constructor(random, worker, link, site, profile) {
    this.#random = random;
    this.#worker = worker;
    this.#link = link;
    this.#site = site;
    this.#profile = profile;
  }

  /** @param {import("../harness/cleanup.mjs").Owner} owner @param {Random} random */
  static async start(owner, random) {
    const worker = await Worker.start(owner);
    const world = new World(
      random,
      worker,
      await Link.start(owner, worker),
      await Site.start(owner),
      await Profile.create(owner),
    );
    const watch = setInterval(() => world.#watchSockets(), 20);
    owner.after(() => clearInterval(watch));
    while (world.members.length < TABS) await world.#open();
    await agreed(world.members.map(({ tab }) => tab));
    return world;
  }

  /** Something happens. */
  async step() {
    this.counts.steps += 1;
    const now = performance.now();
    for (const member of this.members) if (member.tab.isFrozen && member.thawAt <= now) await this.#thaw(member);
    if (!this.#worker.isRunning && this.#nodeUpAt <= now) await this.#worker.start();
    const awake = this.#awake;
    const holder = awake.find(({ part }) => part === "holder");
    const victim = holder !== undefined && this.#random.below(2) === 0 ? holder : this.#random.pick(awake);
    const mayEnd = awake.length > AWAKE_MIN;
    switch (this.#random.below(9)) {
      case 0:
      case 1:
        return mayEnd ? this.#close(victim) : undefined;
      case 2:
        return mayEnd ? this.#crash(victim) : undefined;
      case 3:
      case 4:
        return mayEnd ? this.#freeze(victim) : undefined;
      case 5:
      case 6:
        return this.members.length < TABS ? this.#open() : undefined;
      case 7:
        return this.#worker.isRunning && this.#random.below(3) === 0 ? this.#stopNode() : undefined;
      default:
        return undefined;
    }
  }

  /** Everything is repaired, nobody writes any more, and all must come to rest. */
  async heal() {
    for (const member of this.members) if (member.tab.isFrozen) await this.#thaw(member);
    while (this.members.length < TABS) await this.#open();
    if (!this.#worker.isRunning) await this.#worker.start();
    const tabs = this.members.map(({ tab }) => tab);
    for (const { page } of tabs) await page.evaluate(async () => (await import("/tabs-page.js")).end());
    const docs = [...SHARED, ...this.#own];
    const steps = /** @type {const} */ ([
      ["one holds the connection", () => agreed(tabs)],
      ["all are live", () => allLive(tabs)],
      ["nothing is pending", () => allSettled(tabs)],
    ]);
    const say = async () => {
      const said = tabs.map(({ page }) => page.evaluate(() => ({ ...window.db.status, pending: window.db.pending.count })));
      return JSON.stringify(await Promise.all(said));
    };
    for (const [what, step] of steps) await within(END_MS_MAX, what, step, say);
    for (const doc of docs) {
      const held = canonical(await this.#worker.json(DATABASE, doc));
      for (const { name, tab, history } of this.members) {
        await until(async () => canonical(await tab.page.evaluate(async (doc) => (await window.db.doc(doc)).toJSON(), doc)) === held, {
          what: `${name} has of ${doc} what the leader has`,
          timeoutMs: 30_000,
        }).catch(async (error) => {
          const seen = canonical(await tab.page.evaluate(async (doc) => (await window.db.doc(doc)).toJSON(), doc));
          const { missing, more } = differing(held, seen);
          this.violations.push(`${error.message}: ${missing.length} missing: ${missing.slice(0, 20)}; ${more.length} more: ${more.slice(0, 20)}; ${history.join(", ")}`);
        });
      }
    }
    for (const { name, tab } of this.members) {
      const count = await tab.page.evaluate(() => window.db.pending.count);
      if (count !== 0) this.violations.push(`${name} has ${count} writes pending at the end`);
    }
    await until(() => this.#link.open === 1, { what: "one connection is left" });
  }

  /** The writes that were local and are not at the leader, or are there twice. */
  async lost() {
    /** @type {Map<string, { map?: Record<string, unknown>, text?: string }>} */
    const held = new Map();
    for (const doc of [...SHARED, ...this.#own]) held.set(doc, await this.#worker.json(DATABASE, doc));
    const lost = [];
    for (const { id, isText, docs } of this.local.values()) {
      for (const doc of docs) {
        const { map = {}, text = "" } = held.get(doc) ?? {};
        const times = isText ? text.split(`[${id}]`).length - 1 : Number(map[id] !== undefined);
        if (times === 0) lost.push(`${id} in ${doc}`);
        if (times > 1) this.violations.push(`${id} is ${times} times in ${doc}`);
      }
    }
    return lost;
  }

  get #time() {
    return Math.round(performance.now());
  }

  get #awake() {
    return this.members.filter(({ tab }) => !tab.isFrozen);
  }

  async #open() {
    this.counts.opened += 1;
    const name = `tab${this.counts.opened}`;
    const own = `own/${name}`;
    /** @type {Member} */
    const member = { name, tab: /** @type {any} */ (undefined), part: null, phase: "", thawAt: 0, history: [] };
    const before = async (page) => {
      page.on("pageerror", (error) => void this.violations.push(`${name}: ${error.message}`));
      await page.exposeBinding("told", (_, told) => this.#told(member, told));
    };
    const url = this.#link.url;
    member.tab = await Tab.open(this.#profile, this.#site.url, { database: DATABASE, url, doc: SHARED[0] }, { before });
    this.#own.add(own);
    this.members.push(member);
    const what = { name, seed: this.#random.between(1, 2 ** 31 - 1), shared: SHARED, own: [own] };
    await member.tab.page.evaluate(async (what) => (await import("/tabs-page.js")).begin(what), what);
  }

  /** @param {Member} member */
  async #close(member) {
    this.counts.closed += 1;
    this.#leaves(member, this.takeovers);
    await member.tab.close();
  }

  /** @param {Member} member */
  async #crash(member) {
    this.counts.crashed += 1;
    this.#leaves(member, this.takeovers);
    await member.tab.crash();
  }

  /** @param {Member} member */
  async #freeze(member) {
    this.counts.frozen += 1;
    const isHolder = member.part === "holder";
    const how = this.#random.pick(["pause", "stop"]);
    member.history.push(`${how} at ${this.#time}`);
    await member.tab.freeze(how);
    if (isHolder) this.#vacant = { since: performance.now(), into: this.fromFrozen };
    member.thawAt = performance.now() + this.#random.between(500, 15_000);
  }

  /** @param {Member} member */
  async #thaw(member) {
    this.counts.thawed += 1;
    member.history.push(`thawed at ${this.#time}`);
    await member.tab.thaw();
  }

  async #stopNode() {
    this.counts["node outages"] += 1;
    this.#nodeUpAt = performance.now() + this.#random.between(500, 5_000);
    await this.#worker.kill();
  }

  /** @param {Member} member @param {number[]} into */
  #leaves(member, into) {
    this.members.splice(this.members.indexOf(member), 1);
    if (member.part === "holder") this.#vacant = { since: performance.now(), into };
  }

  /** @param {Member} member @param {any} told */
  #told(member, told) {
    if (told.kind === "local") return void this.local.set(told.id, told);
    if (told.kind !== "status") return void this.violations.push(`${told.kind} ${told.id}: ${told.message}`);
    if (member.part !== told.tab) member.history.push(`${told.tab} at ${this.#time}`);
    member.part = told.tab;
    member.phase = told.phase;
    if (told.phase === "blocked" || told.phase === "fatal") this.violations.push(`${member.name} is ${told.phase}: ${told.error}`);
    if (told.tab !== "holder" || this.#vacant === undefined || !this.members.includes(member)) return;
    this.#vacant.into.push(performance.now() - this.#vacant.since);
    this.#vacant = undefined;
  }

  // A frozen tab keeps the connection that it has: nobody but the node could end it.
  #watchSockets() {
    const { open } = this.#link;
    this.sockets.most = Math.max(this.sockets.most, open);
    const frozen = this.members.length - this.#awake.length;
    if (open <= 1 + frozen) this.sockets.tooManySince = 0;
    else if (this.sockets.tooManySince === 0) this.sockets.tooManySince = performance.now();
    else if (performance.now() - this.sockets.tooManySince > OVERLAP_MS_MAX) {
      this.violations.push(`${open} connections with ${frozen} frozen tabs for more than ${OVERLAP_MS_MAX} ms`);
      this.sockets.tooManySince = performance.now();
    }
  }
}

/**
 * What a step answers, unless it takes too long: then what there is to say of it.
 * @template T
 * @param {number} ms
 * @param {string} what
 * @param {() => Promise<T>} step
 * @param {() => Promise<string>} say
 * @returns {Promise<T>}
 */
function within(ms, what, step, say) {
  return new Promise((resolve, reject) => {
    const late = async () => reject(new Error(`not within ${ms} ms: ${what}: ${await say()}`));
    const timer = setTimeout(() => void late().catch(reject), ms);
    step().then(resolve, reject).finally(() => clearTimeout(timer));
  });
}

/**
 * The writes that one has and the other one has not, by name.
 * @param {string} held
 * @param {string} seen
 */
function differing(held, seen) {
  const names = (text) => new Set(text.match(/tab\d+\.\d+/g));
  const [left, right] = [names(held), names(seen)];
  return { missing: [...left].filter((name) => !right.has(name)), more: [...right].filter((name) => !left.has(name)) };
}

/** @param {any} json The same text for the same content, whatever the order of its names. */
function canonical(json) {
  const { map = {}, text = "" } = json ?? {};
  return JSON.stringify([Object.entries(map).sort(([left], [right]) => (left < right ? -1 : 1)), text]);
}
