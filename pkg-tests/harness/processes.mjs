/** Child processes that are stopped in the middle of whatever they do, and go on later. It knows signals and nothing else. */

import { execFile } from "node:child_process";
import { readdir, readFile } from "node:fs/promises";
import { promisify } from "node:util";

import { until } from "./until.mjs";

/**
 * It keeps its connections and its memory, and does nothing. The signal stops one thread after the other: this waits
 * for the last one, which could still answer somebody.
 * @param {import("node:child_process").ChildProcess} child
 */
export async function freeze(child) {
  await freezeProcess(/** @type {number} */ (child.pid));
}

/** The same for a process that is not ours to begin with, such as a browser's renderer. @param {number} pid */
export async function freezeProcess(pid) {
  process.kill(pid, "SIGSTOP");
  await until(() => isStopped(pid), { what: "every thread has stopped", everyMs: 1 });
}

/** It goes on where it was. @param {import("node:child_process").ChildProcess} child */
export function thaw(child) {
  child.kill("SIGCONT");
}

/** @param {number} pid */
async function isStopped(pid) {
  const states = process.platform === "linux" ? await threadStates(pid) : [await processState(pid)];
  return states.every((state) => state.startsWith("T"));
}

/** @param {number} pid */
async function threadStates(pid) {
  const threads = await readdir(`/proc/${pid}/task`);
  // The state follows the name, which stands in brackets and may hold any character.
  const stats = threads.map((thread) => readFile(`/proc/${pid}/task/${thread}/stat`, "utf8").catch(() => ") T"));
  return (await Promise.all(stats)).map((stat) => stat.slice(stat.lastIndexOf(")") + 2));
}

/** @param {number} pid */
async function processState(pid) {
  const { stdout } = await promisify(execFile)("ps", ["-o", "state=", "-p", String(pid)]);
  return stdout.trim();
}
