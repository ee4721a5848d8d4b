/**
 * The built edge worker on real workerd, on loopback, with storage of its own that outlives kills and restarts.
 * It knows the worker's HTTP interface and nothing of what clients say on WebSockets.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { endWithProcess, killNow, temporaryFolder } from "./cleanup.mjs";
import { ROOT, workerdBinary } from "./env.mjs";
import { freeze, thaw } from "./processes.mjs";
import { until } from "./until.mjs";

const CONFIG = "worker/headwater.capnp";
const HEALTHY_MS_MAX = 30_000;
const STOP_MS_MAX = 2_000;

/** One worker: it can be killed, stopped and started again, and keeps its port and its storage. */
export class Worker {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #child;
  #release = () => {};
  #config;
  #storage;
  #www;
  #env;
  /** The port on loopback; the same after every restart. Setting it to 0 has the next start choose a free one. */
  port = 0;
  /** How often it was started. */
  starts = 0;
  /** What it told operators, oldest first. @type {Record<string, unknown>[]} */
  events = [];

  /**
   * @param {string} config
   * @param {string} storage
   * @param {string | undefined} www
   * @param {Record<string, string>} env
   */
  constructor(config, storage, www, env) {
    this.#config = config;
    this.#storage = storage;
    this.#www = www;
    this.#env = env;
  }

  /**
   * Starts a worker on empty storage; it ends with its owner. Without `www` it serves no page, and with a configuration
   * other than ours it has none to serve. `env` is what its environment has besides ours.
   * @param {import("./cleanup.mjs").Owner} owner
   * @param {{ config?: string, www?: string, env?: Record<string, string> }} [options]
   */
  static async start(owner, { config = CONFIG, www, env = {} } = {}) {
    const folder = await temporaryFolder(owner, "worker");
    const [storage, nothing] = [join(folder, "storage"), join(folder, "nothing")];
    await mkdir(storage);
    await mkdir(nothing);
    const worker = new Worker(config, storage, config === CONFIG ? (www ?? nothing) : undefined, env);
    owner.after(() => worker.kill());
    await worker.start();
    return worker;
  }

  /** Where it answers HTTP, and WebSockets for those who put a path behind. */
  get url() {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Its process, while it runs. */
  get pid() {
    return this.#child?.pid;
  }

  /** Where its storage is. */
  get storage() {
    return this.#storage;
  }

  /**
   * Another worker with another environment, not started: on the same storage, to be started once this one has ended, or on a
   * copy of it.
   * @param {Record<string, string>} env
   * @param {string} [storage]
   */
  withEnvironment(env, storage = this.#storage) {
    return new Worker(this.#config, storage, this.#www, env);
  }

  /** Starts it, and waits until it answers. */
  async start() {
    if (this.#child !== undefined) throw new Error("the worker is running");
    const child = spawn(
      workerdBinary(),
      [
        "serve",
        join(ROOT, this.#config),
        "--control-fd=1",
        `--directory-path=storage=${this.#storage}`,
        ...(this.#www === undefined ? [] : [`--directory-path=www=${this.#www}`]),
        `--socket-addr=http=127.0.0.1:${this.port}`,
      ],
      { stdio: ["ignore", "pipe", "pipe"], cwd: ROOT, env: { ...process.env, ...this.#env } },
    );
    this.#child = child;
    this.starts += 1;
    this.#release = endWithProcess(() => killNow(child.pid));
    passOn(child.stderr);
    this.port = await listening(child, (event) => void this.events.push(event));
    await until(async () => (await fetch(`${this.url}/healthz`).catch(() => undefined))?.ok, {
      what: "the worker is healthy",
      timeoutMs: HEALTHY_MS_MAX,
    });
  }

  /** Kills it in the middle of whatever it does, and waits until it is gone. */
  async kill() {
    await this.#end("SIGKILL");
  }

  /** Asks it to stop; insists after a while, because it waits for open WebSockets. */
  async stop() {
    await this.#end("SIGTERM");
  }

  /** It accepts connections, and answers nothing. */
  async freeze() {
    if (this.#child === undefined) throw new Error("the worker does not run");
    await freeze(this.#child);
  }

  /** It goes on where it was. */
  thaw() {
    if (this.#child !== undefined) thaw(this.#child);
  }

  /** Its process, while it runs. */
  get pid() {
    return this.#child?.pid;
  }

  /** Whether it was started and not ended since. */
  get isRunning() {
    return this.#child !== undefined;
  }

  /** Kills it and starts it again on the same port and storage. */
  async restart() {
    await this.kill();
    await this.start();
  }

  /**
   * What the leader says of a database.
   * @param {string} database
   */
  async status(database) {
    const response = await fetch(`${this.url}/v1/${encodeURIComponent(database)}/status`);
    if (!response.ok) throw new Error(`status answered ${response.status}: ${await response.text()}`);
    return response.json();
  }

  /**
   * A document as the leader holds it.
   * @param {string} database
   * @param {string} doc
   * @param {{ accept?: string, bookmark?: string, query?: string }} [options]
   */
  async read(database, doc, { accept = "application/json", bookmark, query = "" } = {}) {
    const path = `/v1/${encodeURIComponent(database)}/docs/${doc.split("/").map(encodeURIComponent).join("/")}`;
    const headers = { accept, ...(bookmark === undefined ? {} : { "headwater-bookmark": bookmark }) };
    return fetch(`${this.url}${path}${query}`, { headers });
  }

  /**
   * A document as the leader holds it, as plain data.
   * @param {string} database
   * @param {string} doc
   * @param {{ bookmark?: string, query?: string }} [options]
   */
  async json(database, doc, options) {
    const response = await this.read(database, doc, options);
    if (!response.ok) throw new Error(`${doc} answered ${response.status}: ${await response.text()}`);
    return response.json();
  }

  /**
   * A document as the leader holds it, as one update.
   * @param {string} database
   * @param {string} doc
   * @param {{ bookmark?: string, query?: string }} [options]
   */
  async update(database, doc, options) {
    const response = await this.read(database, doc, { accept: "application/octet-stream", ...options });
    if (!response.ok) throw new Error(`${doc} answered ${response.status}: ${await response.text()}`);
    return new Uint8Array(await response.arrayBuffer());
  }

  /** @param {"SIGKILL" | "SIGTERM"} signal */
  async #end(signal) {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, "exit");
      child.kill(signal);
      const timer = setTimeout(() => child.kill("SIGKILL"), STOP_MS_MAX);
      await exit;
      clearTimeout(timer);
    }
    this.#release();
  }
}

/**
 * The port that workerd reports once it accepts connections. What nodes tell operators goes to `tell`.
 * @param {import("node:child_process").ChildProcess} child
 * @param {(event: Record<string, unknown>) => void} tell
 * @returns {Promise<number>}
 */
function listening(child, tell) {
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("exit", (code, signal) => reject(new Error(`workerd ended with ${code ?? signal} before it listened`)));
    const lines = createInterface({ input: /** @type {import("node:stream").Readable} */ (child.stdout) });
    lines.on("line", (line) => {
      const message = line.startsWith("{") ? JSON.parse(line) : undefined;
      if (message?.event === "listen" && message.socket === "http") resolve(message.port);
      else if (message?.headwater !== undefined) tell(message);
      else console.log(`workerd: ${line}`);
    });
  });
}

/** @param {import("node:stream").Readable | null} stream */
function passOn(stream) {
  if (stream === null) return;
  createInterface({ input: stream }).on("line", (line) => {
    // Clients and the worker are cut off on purpose here, which workerd reports each time.
    if (!/disconnected|Broken pipe|Connection reset/i.test(line)) console.log(`workerd: ${line}`);
  });
}
