/**
 * Real Chromium: one process with several contexts, each with storage of its own, or a profile on disk whose process
 * can be killed. It knows no database.
 */

import { readlinkSync } from "node:fs";
import { join } from "node:path";

import { chromium } from "playwright-core";

import { endWithProcess, killNow, temporaryFolder } from "./cleanup.mjs";
import { chromiumBinary } from "./env.mjs";
import { until } from "./until.mjs";

const OPTIONS = {
  // Test processes end their browsers themselves, and say why they end.
  handleSIGINT: false,
  handleSIGTERM: false,
  handleSIGHUP: false,
  args: [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
  ],
};

/**
 * Whether the page is the test page, which it is by its path unless this says otherwise, and what runs in it before any
 * script of its own.
 * @typedef {{ isTestPage?: boolean, init?: () => void }} VisitOptions
 */

/** One Chromium with several contexts. */
export class Browser {
  #browser;

  /** @param {import("playwright-core").Browser} browser */
  constructor(browser) {
    this.#browser = browser;
  }

  /**
   * Starts a browser; it ends with its owner. `args` are Chromium's own, besides ours.
   * @param {import("./cleanup.mjs").Owner} owner
   * @param {{ args?: string[] }} [options]
   */
  static async start(owner, { args = [] } = {}) {
    const launch = { ...OPTIONS, args: [...OPTIONS.args, ...args] };
    const browser = await chromium.launch({ ...launch, executablePath: chromiumBinary() });
    owner.after(() => browser.close());
    return new Browser(browser);
  }

  /**
   * A page in a context of its own, with nothing stored.
   * @param {string} url
   * @param {VisitOptions} [options]
   */
  async visit(url, options) {
    const context = await this.#browser.newContext();
    return visit(context, url, options);
  }

  /** Of the program. */
  get version() {
    return this.#browser.version();
  }

  /** A page in the same context as another one: a second tab. @param {import("playwright-core").Page} beside @param {string} url */
  async visitBeside(beside, url) {
    return visit(beside.context(), url);
  }
}

/** A profile on disk. Its storage is there again after its process was killed and launched anew. */
export class Profile {
  #folder;
  /** @type {import("playwright-core").BrowserContext | undefined} */
  #context;
  /** @type {number | undefined} */
  #pid;
  #release = () => {};

  /** @param {string} folder */
  constructor(folder) {
    this.#folder = folder;
  }

  /** An empty profile; it ends with its owner. @param {import("./cleanup.mjs").Owner} owner */
  static async create(owner) {
    const profile = new Profile(await temporaryFolder(owner, "profile"));
    owner.after(() => profile.kill());
    return profile;
  }

  /**
   * Opens a page, in a browser process that is launched if there is none.
   * @param {string} url
   * @param {VisitOptions} [options]
   */
  async visit(url, options) {
    this.#context ??= await this.#launch();
    return visit(this.#context, url, options);
  }

  /** Kills the browser with all its processes, and waits until they are gone. */
  async kill() {
    const [context, pid] = [this.#context, this.#pid];
    this.#context = undefined;
    this.#pid = undefined;
    if (context === undefined || pid === undefined) return;
    const closed = new Promise((resolve) => void context.once("close", resolve));
    // Chromium leads a process group of its own.
    killNow(-pid);
    await closed;
    await until(() => !isAlive(pid), { what: "the browser is gone" });
    this.#release();
  }

  async #launch() {
    const context = await chromium.launchPersistentContext(this.#folder, {
      ...OPTIONS,
      executablePath: chromiumBinary(),
    });
    // The link says `host-pid`.
    const pid = Number(readlinkSync(join(this.#folder, "SingletonLock")).split("-").at(-1));
    this.#pid = pid;
    this.#release = endWithProcess(() => killNow(-pid));
    return context;
  }
}

/**
 * Loads a page; the test page is waited for until it has imported the package.
 * @param {import("playwright-core").BrowserContext} context
 * @param {string} url
 * @param {VisitOptions} [options]
 */
async function visit(context, url, { isTestPage = new URL(url).pathname === "/", init } = {}) {
  const page = await context.newPage();
  if (init !== undefined) await page.addInitScript(init);
  page.on("pageerror", (error) => console.log(`page: ${error.stack ?? error.message}`));
  page.on("console", (message) => {
    // Refused connections are part of the tests, and the browser reports each.
    if (message.type() === "error" && !/WebSocket|ERR_|Failed to load/.test(message.text())) {
      console.log(`page: ${message.text()}`);
    }
  });
  await page.goto(url);
  if (isTestPage) await ready(page);
  return page;
}

/** Waits until the test page has imported the package. @param {import("playwright-core").Page} page */
export async function ready(page) {
  await page.waitForFunction(() => "headwater" in window);
}

/** @param {number} pid */
function isAlive(pid) {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
