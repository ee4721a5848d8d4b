/** `headwater history`: a document as it was. */

import { writeFile } from "node:fs/promises";

import { malformed } from "../errors.js";
import { docPath, stream, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";

/** The command. */
export const history: Command = {
  name: "history",
  operands: ["DATABASE", "DOCUMENT"],
  summary: "Shows a document as it was at a position or at a time.",
  options: {
    ...URL_OPTION,
    at: { value: "WHEN", help: "a bookmark or a time (2026-11-23T10:00:00Z, unix milliseconds); now unless it is said" },
    update: { help: "as one Yjs update instead of JSON" },
    out: { value: "FILE", help: "where to; standard output unless it is said" },
  },
  more: `A time is as exact as a second: what is shown holds nothing younger. The bookmark of the position that was taken is
said on standard error; \`headwater restore\` takes it.`,
  async run(given) {
    const [database, doc, at, file] = [given.operand(0), given.operand(1), given.text("at"), given.text("out")];
    const isUpdate = given.has("update");
    if (isUpdate && file === undefined && process.stdout.isTTY) throw malformed("an update is no text for a terminal: name a file with --out");
    const query = new URLSearchParams({ format: isUpdate ? "update" : "json", ...(at === undefined ? {} : { at }) });
    const response = await stream(urlsOf(given), `${docPath(database, "docs", doc)}?${query}`, {});
    const bytes = new Uint8Array(await response.arrayBuffer());
    if (file !== undefined) await writeFile(file, bytes);
    else process.stdout.write(isUpdate ? bytes : `${new TextDecoder().decode(bytes)}\n`);
    console.error(`as of ${response.headers.get("headwater-bookmark")}`);
    return 0;
  },
};
