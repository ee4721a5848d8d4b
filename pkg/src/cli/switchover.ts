/** `headwater switchover`: another member leads, and nothing is lost. */

import { askAll, command, leaderOf, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";
import { SECRET_OPTION, secretOf } from "./secret.js";

const TIMEOUT_MS = 10_000;
const TIMEOUT_MS_MAX = 600_000;
/** What the answer may take beyond the time that the leader has. */
const ANSWER_MS = 5_000;

/** The command. */
export const switchover: Command = {
  name: "switchover",
  operands: ["DATABASE"],
  summary: "Has another member lead. Nothing is lost; writes wait for a moment.",
  options: {
    ...URL_OPTION,
    ...SECRET_OPTION,
    to: { value: "NAME", help: "which member; by default the most preferred of those that hold everything" },
    "timeout-ms": { value: "N", help: `when the leader gives up, and goes on leading (default ${TIMEOUT_MS})` },
  },
  async run(given) {
    const [database, secret, to] = [given.operand(0), secretOf(given), given.text("to")];
    const timeoutMs = given.count("timeout-ms", TIMEOUT_MS, TIMEOUT_MS_MAX);
    const { url } = leaderOf(await askAll(urlsOf(given), database));
    const body = { ...(to === undefined ? {} : { to }), timeoutMs };
    const done = await command(url, { database, name: "switchover", secret, body, timeoutMs: timeoutMs + ANSWER_MS });
    console.log(`${done.leader} leads since epoch ${done.epoch}; no write was taken for ${done.pauseMs} ms`);
    return 0;
  },
};
