/**
 * What must end with the test process, whatever ends it: a failed test, Ctrl-C, the runner's timeout. It knows only
 * functions that end things at once.
 */

import { rmSync } from "node:fs";
import { mkdtemp } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { after } from "node:test";

/**
 * What owns something that has to end.
 * @typedef {{ after(end: () => unknown): void }} Owner
 */

/** @type {Set<() => void>} */
const endings = new Set();

process.on("exit", endAll);
for (const [signal, number] of /** @type {const} */ ([["SIGINT", 2], ["SIGTERM", 15], ["SIGHUP", 1]])) {
  process.once(signal, () => process.exit(128 + number));
}

/**
 * The owner of what a test needs, or, without a context, of what all tests of a file share. What began last ends first.
 * @param {Pick<import("node:test").TestContext, "after">} [context]
 * @returns {Owner}
 */
export function owner(context) {
  /** @type {(() => unknown)[]} */
  const ends = [];
  const endAll = async () => {
    for (const end of ends.reverse()) await end();
  };
  if (context === undefined) after(endAll);
  else context.after(endAll);
  return { after: (end) => void ends.push(end) };
}

/**
 * The same for a program that is no test: runs something, and ends what it owned.
 * @param {(owner: Owner) => Promise<void>} run
 */
export async function owning(run) {
  /** @type {(() => unknown)[]} */
  const ends = [];
  try {
    await run({ after: (end) => void ends.push(end) });
  } finally {
    for (const end of ends.reverse()) await end();
  }
}

/**
 * Has `end` called when the process ends; answers how to take that back.
 * @param {() => void} end works without waiting
 * @returns {() => void}
 */
export function endWithProcess(end) {
  endings.add(end);
  return () => void endings.delete(end);
}

/**
 * A temporary folder that goes away with its owner.
 * @param {Owner} owner
 * @param {string} name
 */
export async function temporaryFolder(owner, name) {
  const folder = await mkdtemp(join(tmpdir(), `headwater-${name}-`));
  const remove = () => rmSync(folder, { recursive: true, force: true, maxRetries: 20, retryDelay: 50 });
  const release = endWithProcess(remove);
  owner.after(() => {
    release();
    remove();
  });
  return folder;
}

/**
 * Kills a process or, as a negative number, a group; one that is gone already is passed over.
 * @param {number | undefined} pid
 */
export function killNow(pid) {
  try {
    if (pid !== undefined) process.kill(pid, "SIGKILL");
  } catch (error) {
    if (/** @type {NodeJS.ErrnoException} */ (error).code !== "ESRCH") throw error;
  }
}

function endAll() {
  // The last begun is the first to end: a folder goes after the process that writes to it.
  for (const end of [...endings].reverse()) {
    try {
      end();
    } catch (error) {
      console.error("cleaning up:", error);
    }
  }
}
