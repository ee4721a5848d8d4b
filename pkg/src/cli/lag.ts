/** `headwater lag`: how far behind the leader, or each of several, every other member is. */

import { answered, askAll, type Asked, leaderOf, type NodeStatus, urlsOf, URL_OPTION } from "./ask.js";
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

/** A row for each member that the leader streams to; of several leaders, for each that answered. */
export function lagTable(asked: readonly Asked[]): string {
  const { status } = leaderOf(asked);
  const head = ["MEMBER", "KIND", "ANSWERS", "ENTRIES BEHIND", "BYTES", "MS"];
  if (status.group?.topology !== "multi-leader") return table([head, ...lagRows(status)]);
  const leaders = answered(asked).filter(({ status }) => status.role === "leader");
  const rows = leaders.flatMap(({ status }) => lagRows(status).map((row) => [status.group?.me ?? "", ...row]));
  return table([["LEADER", ...head], ...rows]);
}

function lagRows(status: NodeStatus): string[][] {
  return (status.group?.members ?? []).map(({ name, isVoter, isConnected, lagEntries, lagBytes, lagMs }) => [
    name,
    isVoter ? "voter" : "observer",
    isConnected ? "yes" : "no",
    String(lagEntries),
    String(lagBytes),
    lagMs === null ? "unknown" : String(lagMs),
  ]);
}
