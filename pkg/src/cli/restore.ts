/** `headwater restore`: a document back to what it was, by a new write. */

import type { Restored } from "../history.js";
import { docPath, stream, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";

/** The command. */
export const restore: Command = {
  name: "restore",
  operands: ["DATABASE", "DOCUMENT"],
  summary: "Brings a document back to what it was at a position or at a time.",
  options: {
    ...URL_OPTION,
    at: { value: "WHEN", help: "a bookmark or a time (2026-11-23T10:00:00Z, unix milliseconds)" },
    json: { help: "says what was done as one line of JSON" },
  },
  more: `It is a new write that says only what differs, so that what others write meanwhile merges with it, and it can be
taken back by another restoration. docs/backup.md says what is kept and what is not.`,
  async run(given) {
    const at = given.needed("at", "a bookmark or a time");
    const path = `${docPath(given.operand(0), "restore", given.operand(1))}?${new URLSearchParams({ at })}`;
    const response = await stream(urlsOf(given), path, () => ({ method: "POST" }));
    const done = (await response.json()) as Restored;
    if (given.has("json")) console.log(JSON.stringify(done));
    else if (done.isChanged) console.log(`restored what was at ${done.at}; bookmark ${done.bookmark}`);
    else console.log(`nothing differs from what was at ${done.at}`);
    return 0;
  },
};
