/** One tab of a profile from outside: opened, closed, crashed, frozen and thawed. It knows what tabs say of themselves. */

import { freezeProcess } from "../harness/processes.mjs";
import { killNow } from "../harness/cleanup.mjs";
import { openIn } from "../harness/pages.mjs";
import { rendererOf } from "../harness/renderers.mjs";
import { until } from "../harness/until.mjs";

/**
 * How a tab freezes. `stop` halts its process, and what it was told meanwhile waits for it. `pause` halts its JavaScript as a
 * debugger does, and Chromium drops what a BroadcastChannel brings it meanwhile.
 * @typedef {"stop" | "pause"} Freeze
 */

/** The processes of tabs. @type {Set<number>} */
const renderers = new Set();

/** A tab with `window.db` and `window.doc`. */
export class Tab {
  page;
  #pid;
  /** @type {Freeze | undefined} */
  #frozen;
  /** @type {import("playwright-core").CDPSession | undefined} */
  #debugger;

  /**
   * @param {import("playwright-core").Page} page
   * @param {number} pid
   */
  constructor(page, pid) {
    this.page = page;
    this.#pid = pid;
  }

  /**
   * Opens a tab and a database in it.
   * @param {import("../harness/browser.mjs").Profile} profile
   * @param {string} url of the test page
   * @param {Parameters<typeof openIn>[1]} what
   * @param {{ init?: () => void, before?: (page: import("playwright-core").Page) => Promise<void> }} [options]
   */
  static async open(profile, url, what, { init, before } = {}) {
    const page = await profile.visit(url, init && { init });
    const tab = new Tab(page, await rendererOf(page, renderers));
    renderers.add(tab.#pid);
    page.once("close", () => renderers.delete(tab.#pid));
    await before?.(page);
    await openIn(page, what);
    return tab;
  }

  /** Whether it is frozen: it must not be asked anything then. */
  get isFrozen() {
    return this.#frozen !== undefined;
  }

  /** What its database says. */
  status() {
    return this.page.evaluate(() => window.db.status);
  }

  /** @param {Freeze} how */
  async freeze(how) {
    if (how === "stop") await this.#stop();
    else {
      const session = await this.page.context().newCDPSession(this.page);
      await session.send("Debugger.enable");
      const paused = new Promise((resolve) => void session.once("Debugger.paused", resolve));
      // In a task of its own, as browsers freeze pages between tasks. It is answered after the pause.
      session.send("Runtime.evaluate", { expression: "debugger" }).catch(() => {});
      await paused;
      this.#debugger = session;
    }
    this.#frozen = how;
  }

  /**
   * Not while it asks for a transaction: one that was begun and not handed over keeps everybody else from the storage until
   * its tab goes on, and no program in a browser can help that.
   */
  async #stop() {
    const began = this.page.waitForEvent("console", (message) => message.text() === "busy");
    this.page.evaluate(() => {
      const end = Date.now() + 2_000;
      console.log("busy");
      while (Date.now() < end) continue;
    }).catch(() => {});
    await began;
    await freezeProcess(this.#pid);
  }

  /** It goes on where it was. */
  async thaw() {
    const how = this.#frozen;
    this.#frozen = undefined;
    if (how === "stop") process.kill(this.#pid, "SIGCONT");
    if (how !== "pause") return;
    await this.#debugger?.send("Debugger.resume");
    await this.#debugger?.detach();
    this.#debugger = undefined;
  }

  /** Closes it, as the user would. A database in it is not told. */
  async close() {
    if (this.#frozen === "stop") await this.crash();
    else await this.page.close();
  }

  /** Kills its process. */
  async crash() {
    const crashed = new Promise((resolve) => void this.page.once("crash", resolve));
    killNow(this.#pid);
    await crashed;
    this.#frozen = undefined;
    await this.page.close();
  }
}

/**
 * Waits until one of these tabs holds the connection, and the others know; answers them, the holder first.
 * @param {Tab[]} tabs
 */
export async function agreed(tabs) {
  return until(async () => {
    const statuses = await Promise.all(tabs.map((tab) => tab.status()));
    const holders = tabs.filter((_, at) => statuses[at]?.tab === "holder");
    const members = tabs.filter((_, at) => statuses[at]?.tab === "member");
    return holders.length === 1 && members.length === tabs.length - 1 && [...holders, ...members];
  }, { what: "one tab holds the connection and the others do not" });
}

/** Waits until each of these is connected. @param {Tab[]} tabs */
export async function allLive(tabs) {
  await Promise.all(tabs.map(({ page }) => page.evaluate(() => window.page.live(window.db))));
}

/** Waits until each of these knows of nothing unsent. @param {Tab[]} tabs */
export async function allSettled(tabs) {
  await Promise.all(tabs.map(({ page }) => page.evaluate(() => window.page.settled(window.db))));
}
