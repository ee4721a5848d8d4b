/** `headwater topology`: one member leads, or several do. */

import { malformed } from "../errors.js";
import { askAll, command, leaderOf, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";
import { SECRET_OPTION, secretOf } from "./secret.js";

const TOPOLOGIES = ["single-leader", "multi-leader"];
const TIMEOUT_MS = 10_000;
const TIMEOUT_MS_MAX = 600_000;
/** What the answer may take beyond the time that the member has. */
const ANSWER_MS = 5_000;

/** The command. */
export const topology: Command = {
  name: "topology",
  operands: ["DATABASE", "single-leader|multi-leader"],
  summary: "Has one member of a group lead, or every voter that may. Nothing is lost; writes wait for a moment.",
  options: {
    ...URL_OPTION,
    ...SECRET_OPTION,
    "timeout-ms": { value: "N", help: `when to say that the outcome is unknown (default ${TIMEOUT_MS})` },
  },
  more: `To single-leader, the member that is asked leads afterwards: of those that --url names, the leader of the newest epoch.
A member that is away meanwhile hands in what only it has when it is back. Where several lead there are no strong reads.`,
  async run(given) {
    const [database, to, secret] = [given.operand(0), given.operand(1), secretOf(given)];
    if (!TOPOLOGIES.includes(to)) throw malformed(`${to} is no topology; it can be ${TOPOLOGIES.join(" or ")}`);
    const timeoutMs = given.count("timeout-ms", TIMEOUT_MS, TIMEOUT_MS_MAX);
    const { url } = leaderOf(await askAll(urlsOf(given), database));
    const body = { to, timeoutMs };
    const done = await command(url, { database, name: "topology", secret, body, timeoutMs: timeoutMs + ANSWER_MS });
    const who = to === "single-leader" ? `${done.leader} leads` : "several members lead";
    console.log(`${who} since epoch ${done.epoch}; it took ${done.pauseMs} ms`);
    return 0;
  },
};
