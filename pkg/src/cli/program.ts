/** Where workerd is, and one workerd that runs. It knows nothing of what the worker does. */

import { type ChildProcess, spawn } from "node:child_process";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import type { Readable } from "node:stream";

import { HeadwaterError } from "../errors.js";

/** Names the program. */
export const WORKERD_VARIABLE = "HEADWATER_WORKERD";

/** How long workerd may take to finish the requests that it has. It would wait for open WebSockets without end. */
const STOP_MS_MAX = 1_000;

/** The workerd that is named, or that of the npm package beside ours, or of the project that we were started in. */
export function findWorkerd(): string {
  const named = process.env[WORKERD_VARIABLE];
  if (named) return named;
  for (const from of [import.meta.url, `${process.cwd()}/package.json`]) {
    try {
      const found: unknown = createRequire(from)("workerd");
      return (found as { default?: string }).default ?? (found as string);
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== "MODULE_NOT_FOUND") throw error;
    }
  }
  throw new HeadwaterError(
    "NOT_FOUND",
    `there is no workerd: install the npm package workerd, or name the program in ${WORKERD_VARIABLE}`,
  );
}

/** A workerd that serves. */
export class Workerd {
  readonly #child: ChildProcess;
  /** The port that it listens on. */
  readonly port: Promise<number>;
  /** Resolves when it has ended, with its exit code or with the signal that ended it. */
  readonly ended: Promise<number | string>;

  /** Starts it. `claim` stays open in it as long as it runs. */
  constructor(args: readonly string[], env: Readonly<Record<string, string>>, claim: number) {
    // Apart from our terminal: Ctrl-C comes to us, and we stop it in order. It reads nothing, which leaves room for the claim.
    this.#child = spawn(findWorkerd(), ["serve", "--control-fd=3", ...args], {
      stdio: [claim, "inherit", "inherit", "pipe"],
      detached: true,
      env: { ...process.env, ...env },
    });
    this.ended = new Promise((resolve) => {
      this.#child.once("exit", (code, signal) => resolve(code ?? String(signal)));
      // What could not be started never exits.
      this.#child.once("error", (error) => resolve(error.message));
    });
    this.port = this.#listening();
    // Whoever stops it first does not ask for the port any more.
    this.port.catch(() => undefined);
  }

  /** Its process. */
  get pid(): number {
    return this.#child.pid ?? 0;
  }

  /** Asks it to end, and insists after a while. */
  async stop(): Promise<void> {
    this.#child.kill("SIGTERM");
    const timer = setTimeout(() => this.#child.kill("SIGKILL"), STOP_MS_MAX);
    await this.ended;
    clearTimeout(timer);
  }

  async #listening(): Promise<number> {
    for await (const line of createInterface({ input: this.#child.stdio[3] as Readable })) {
      const said = JSON.parse(line) as { event?: string; socket?: string; port?: number };
      if (said.event === "listen" && said.socket === "http" && said.port !== undefined) return said.port;
    }
    throw new HeadwaterError("CLOSED", `workerd ended before it listened: ${await this.ended}`);
  }
}
