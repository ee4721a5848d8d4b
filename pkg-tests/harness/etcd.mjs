/**
 * A real etcd of one member, on loopback, with data of its own that outlives kills and restarts. It knows etcd's ports
 * and its health, and nothing of keys.
 */

import { spawn } from "node:child_process";
import { once } from "node:events";
import { createServer } from "node:net";
import { join } from "node:path";
import { createInterface } from "node:readline";

import { endWithProcess, killNow, temporaryFolder } from "./cleanup.mjs";
import { etcdBinary } from "./env.mjs";
import { freeze, thaw } from "./processes.mjs";
import { until } from "./until.mjs";

const HEALTHY_MS_MAX = 60_000;
const ANSWER_MS_MAX = 2_000;

/** One etcd: it can be killed, frozen and started again, and keeps its ports and its data. */
export class Etcd {
  /** @type {import("node:child_process").ChildProcess | undefined} */
  #child;
  #release = () => {};
  #data;
  #clientPort;
  #peerPort;
  /** @type {string[]} */
  #said = [];
  /** How often it was started. */
  starts = 0;

  /** @param {string} data @param {number} clientPort @param {number} peerPort */
  constructor(data, clientPort, peerPort) {
    this.#data = data;
    this.#clientPort = clientPort;
    this.#peerPort = peerPort;
  }

  /**
   * Starts one without any keys; it ends with its owner.
   * @param {import("./cleanup.mjs").Owner} owner
   */
  static async start(owner) {
    const folder = await temporaryFolder(owner, "etcd");
    const etcd = new Etcd(join(folder, "data"), ...(await freePorts()));
    owner.after(() => etcd.kill());
    await etcd.start();
    return etcd;
  }

  /** Where it answers clients. */
  get url() {
    return `http://127.0.0.1:${this.#clientPort}`;
  }

  /** Starts it, and waits until it can commit. */
  async start() {
    if (this.#child !== undefined) throw new Error("etcd is running");
    const peer = `http://127.0.0.1:${this.#peerPort}`;
    const child = spawn(
      etcdBinary(),
      [
        "--name=one",
        `--data-dir=${this.#data}`,
        `--listen-client-urls=${this.url}`,
        `--advertise-client-urls=${this.url}`,
        `--listen-peer-urls=${peer}`,
        `--initial-advertise-peer-urls=${peer}`,
        `--initial-cluster=one=${peer}`,
        "--logger=zap",
        "--log-level=warn",
      ],
      // Settings of whoever runs the tests are not ours.
      { stdio: ["ignore", "ignore", "pipe"], env: withoutSettings() },
    );
    this.#child = child;
    this.starts += 1;
    this.#release = endWithProcess(() => killNow(child.pid));
    this.#said = [];
    createInterface({ input: child.stderr }).on("line", (line) => this.#said.push(line));
    await until(() => this.#isHealthy(child), { what: "etcd is healthy", timeoutMs: HEALTHY_MS_MAX });
  }

  /** Kills it in the middle of whatever it does, frozen or not, and waits until it is gone. */
  async kill() {
    const child = this.#child;
    if (child === undefined) return;
    this.#child = undefined;
    if (child.exitCode === null && child.signalCode === null) {
      const exit = once(child, "exit");
      child.kill("SIGKILL");
      await exit;
    }
    this.#release();
  }

  /** Kills it and starts it again on the same ports and data. */
  async restart() {
    await this.kill();
    await this.start();
  }

  /** It accepts connections, and answers nothing. */
  async freeze() {
    if (this.#child === undefined) throw new Error("etcd does not run");
    await freeze(this.#child);
  }

  /** It goes on where it was. */
  thaw() {
    if (this.#child !== undefined) thaw(this.#child);
  }

  /** @param {import("node:child_process").ChildProcess} child */
  async #isHealthy(child) {
    if (child.exitCode !== null) throw new Error(`etcd ended with ${child.exitCode}: ${this.#said.slice(-5).join("\n")}`);
    const answer = fetch(`${this.url}/health`, { signal: AbortSignal.timeout(ANSWER_MS_MAX) });
    const health = await answer.then((response) => response.json()).catch(() => undefined);
    // In some versions it is text.
    return String(health?.health) === "true";
  }
}

function withoutSettings() {
  const ours = Object.entries(process.env).filter(([name]) => !name.startsWith("ETCD_"));
  return { ...Object.fromEntries(ours), ...(process.arch === "arm64" ? { ETCD_UNSUPPORTED_ARCH: "arm64" } : {}) };
}

/** Two ports that nobody listens on. @returns {Promise<[number, number]>} */
async function freePorts() {
  const servers = [createServer(), createServer()];
  const ports = [];
  for (const server of servers) {
    server.listen(0, "127.0.0.1");
    await once(server, "listening");
    ports.push(/** @type {import("node:net").AddressInfo} */ (server.address()).port);
  }
  for (const server of servers) server.close();
  return /** @type {[number, number]} */ (ports);
}
