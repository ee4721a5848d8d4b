/** `headwater promote`: a member leads by an operator's word, even if acknowledged writes are lost by it. */

import { malformed } from "../errors.js";
import { command, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";
import { SECRET_OPTION, secretOf } from "./secret.js";

const ANSWER_MS_MAX = 60_000;

/** The command. */
export const promote: Command = {
  name: "promote",
  operands: ["DATABASE"],
  summary: "Has one member lead although too few of the group are left to elect it. Writes may be lost.",
  options: {
    ...URL_OPTION,
    ...SECRET_OPTION,
    "accept-data-loss": { help: "says that you know: what only the missing members hold is lost" },
  },
  more: `For a group that has lost its quorum for good. While a quorum is left, the group elects a leader by itself, and
\`headwater switchover\` chooses one. What may have been lost stands in the group's record and in \`headwater status --json\`.`,
  async run(given) {
    const [database, secret, [url, another]] = [given.operand(0), secretOf(given), urlsOf(given)];
    if (url === undefined || another !== undefined) throw malformed("--url has to name one member: the one that shall lead");
    if (!given.has("accept-data-loss")) {
      throw malformed("acknowledged writes may be lost by this; say --accept-data-loss if that is what you want");
    }
    const body = { acceptDataLoss: true };
    const done = await command(url, { database, name: "promote", secret, body, timeoutMs: ANSWER_MS_MAX });
    console.log(`${done.leader} leads since epoch ${done.epoch}`);
    return 0;
  },
};
