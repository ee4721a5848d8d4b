/** What the tests of the node's storage share: compaction that happens soon, and clients that write without a pause. */

import { open } from "headwater";

import { until } from "../harness/until.mjs";

/** A node that compacts after every few kilobytes, and keeps next to no history. */
export const EAGER = {
  HEADWATER_HISTORY_MS: "0",
  HEADWATER_HISTORY_BYTES: "0",
  HEADWATER_FOLD_ROWS: "16",
  HEADWATER_FOLD_BYTES: "16384",
  HEADWATER_SQUASH_BYTES: "16384",
  HEADWATER_LOG_ENTRIES_MIN: "64",
};

const EDITS_A_TURN = 8;
/** Few enough for a row of the log to hold a moment and no more, so that checkpoints are due and the log is trimmed. */
const EDITS_AHEAD = 64;
const COMPACTED_MS_MAX = 120_000;

/**
 * A client in this process; it is closed with its owner.
 * @param {import("../harness/cleanup.mjs").Owner} owner
 * @param {string} database
 * @param {string} url
 */
export async function client(owner, database, url) {
  const db = await open(database, { url, storage: "memory" });
  owner.after(() => db.close().catch(() => undefined));
  return db;
}

/**
 * Types edits, each a write of its own, no further ahead of the leader than a few dozen.
 * @param {import("headwater").Document} doc
 * @param {readonly import("../harness/trace.mjs").Edit[]} edits
 */
export async function type(doc, edits) {
  const text = doc.getText("text");
  for (let at = 0; at < edits.length; at += 1) {
    const [position, deleted, inserted] = /** @type {import("../harness/trace.mjs").Edit} */ (edits[at]);
    const receipt = doc.transact(() => {
      if (deleted > 0) text.delete(position, deleted);
      if (inserted !== "") text.insert(position, inserted);
    });
    if (at % EDITS_AHEAD === EDITS_AHEAD - 1 || at === edits.length - 1) await receipt.reached("leader");
    else if (at % EDITS_A_TURN === EDITS_A_TURN - 1) await new Promise((resolve) => void setImmediate(resolve));
  }
}

/**
 * Waits until the node has nothing to compact, and answers its status.
 * @param {import("../harness/worker.mjs").Worker} worker
 * @param {string} database
 */
export function compacted(worker, database) {
  let before = "";
  return until(
    async () => {
      const status = await worker.status(database);
      const now = JSON.stringify([status.compacted, status.lsn]);
      const isStill = now === before;
      before = now;
      return isStill ? status : undefined;
    },
    { what: `compaction of ${database} comes to rest`, timeoutMs: COMPACTED_MS_MAX, everyMs: 250 },
  );
}
