/** `headwater lag`: how far behind the leader every member is. */

import { askAll, type Asked, leaderOf, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";
import { table } from "./table.js";

/** The command. */
export const lag: Command = {
  name: "lag",
  operands: ["DATABASE"],
  summary: "How far behind the leader each member is.",
  options: URL_OPTION,
  async run(given) {
    console.log(lagTable(await askAll(urlsOf(given), given.operand(0))));
    return 0;
  },
};

/** A row for each member that the leader streams to. */
export function lagTable(asked: readonly Asked[]): string {
  const { status } = leaderOf(asked);
  const rows = (status.group?.members ?? []).map(({ name, isVoter, isConnected, lagEntries, lagBytes, lagMs }) => [
    name,
    isVoter ? "voter" : "observer",
    isConnected ? "yes" : "no",
    String(lagEntries),
    String(lagBytes),
    lagMs === null ? "unknown" : String(lagMs),
  ]);
  return table([["MEMBER", "KIND", "ANSWERS", "ENTRIES BEHIND", "BYTES", "MS"], ...rows]);
}
