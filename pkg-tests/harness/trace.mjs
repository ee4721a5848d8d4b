/** The recorded editing trace. `fixtures/README.md` says where it comes from. */

import { readFileSync } from "node:fs";
import { gunzipSync } from "node:zlib";

/**
 * One keystroke: where, how many characters go, which come.
 * @typedef {[position: number, deleted: number, inserted: string]} Edit
 */

/** Reads the trace. @returns {{ edits: Edit[], finalText: string }} */
export function editingTrace() {
  return JSON.parse(traceJson().toString());
}

/** The trace as pages fetch it. */
export function traceJson() {
  return gunzipSync(readFileSync(new URL("../fixtures/editing-trace.json.gz", import.meta.url)));
}
