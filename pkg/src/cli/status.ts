/** `headwater status`: who leads, and how every node is. */

import { answered, askAll, type Asked, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";
import { table } from "./table.js";

/** The command. */
export const status: Command = {
  name: "status",
  operands: ["DATABASE"],
  summary: "Who leads a database, and how each node is.",
  options: { ...URL_OPTION, json: { help: "as the nodes tell it, one line of JSON for each" } },
  async run(given) {
    const asked = await askAll(urlsOf(given), given.operand(0));
    answered(asked);
    if (given.has("json")) for (const each of asked) console.log(JSON.stringify(each));
    else console.log(statusTable(asked));
    return 0;
  },
};

/** A row for each node. */
export function statusTable(asked: readonly Asked[]): string {
  const rows = asked.map(({ url, status, problem }) => {
    const { group } = status ?? {};
    return [
      group?.me ?? url,
      status?.role ?? "no answer",
      group?.leader ?? "",
      String(status?.epoch ?? ""),
      String(status?.lsn ?? ""),
      String(status?.connections ?? ""),
      String(group?.elections ?? ""),
      String(group?.mergedEntries ?? ""),
      [problem, group?.isIsolated ? "isolated" : ""].filter((each) => each !== "").join(", "),
    ];
  });
  return table([["NODE", "ROLE", "LEADER", "EPOCH", "LSN", "CLIENTS", "ELECTIONS", "MERGED", "PROBLEM"], ...rows]);
}
