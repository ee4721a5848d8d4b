/** `headwater top`: status and lag, again and again, until Ctrl-C. */

import { askAll, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";
import { lagTable } from "./lag.js";
import { statusTable } from "./status.js";
import { HeadwaterError } from "../errors.js";

const EVERY_MS = 1_000;
const EVERY_MS_MAX = 3_600_000;
const CLEAR = "\u001b[H\u001b[2J";

/** The command. */
export const top: Command = {
  name: "top",
  operands: ["DATABASE"],
  summary: "Status and lag, again and again, until Ctrl-C.",
  options: { ...URL_OPTION, "every-ms": { value: "N", help: `how long from one look to the next (default ${EVERY_MS})` } },
  async run(given) {
    const [urls, everyMs] = [urlsOf(given), given.count("every-ms", EVERY_MS, EVERY_MS_MAX)];
    for (;;) {
      const asked = await askAll(urls, given.operand(0));
      const head = `${given.operand(0)}  ${new Date().toISOString()}`;
      const shown = [head, statusTable(asked), orWhyNot(() => lagTable(asked))].join("\n\n");
      console.log(process.stdout.isTTY ? CLEAR + shown : `${shown}\n`);
      await new Promise((resolve) => setTimeout(resolve, everyMs));
    }
  },
};

/** While nobody leads there is nobody to say how far the others are. */
function orWhyNot(show: () => string): string {
  try {
    return show();
  } catch (error) {
    if (error instanceof HeadwaterError) return error.message;
    throw error;
  }
}
