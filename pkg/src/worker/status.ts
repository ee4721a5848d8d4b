/** A node's status as it is answered over HTTP. It asks nothing. */

import type { NodeStatus } from "../effects.js";
import type { TableSize } from "./sql-store.js";

/** What the object knows besides the node. */
export interface ObjectFigures {
  readonly sockets: number;
  readonly storageBytes: number;
  /** How many files there are, and what they weigh. */
  readonly files: { readonly count: number; readonly bytes: number };
  readonly tables: Readonly<Record<string, TableSize>>;
  /** What its instance of wasm takes in memory. */
  readonly memoryBytes: number;
  /** Another one after a restart, and after hibernation. */
  readonly instance: { readonly id: string; readonly startedAt: string };
}

/** The status as plain data: numbers are numbers, and what is not known is `null`. */
export function statusOf(
  status: NodeStatus,
  { sockets, storageBytes, files, tables, memoryBytes, instance }: ObjectFigures,
): object {
  return {
    role: status.group?.role ?? "leader",
    isLoaded: status.isLoaded,
    generation: status.generation.toString(16).padStart(16, "0"),
    epoch: Number(status.epoch),
    lsn: Number(status.lsn),
    connections: status.connections,
    sockets,
    rowsCommitted: Number(status.rowsCommitted),
    entriesCommitted: Number(status.entriesCommitted),
    storageBytes,
    files,
    tables,
    memoryBytes,
    compacted: status.compacted,
    failure: status.failure ?? null,
    group: groupOf(status.group),
    instance,
  };
}

function groupOf(group: NodeStatus["group"]): object | null {
  if (group === undefined) return null;
  const members = group.members.map((member) => ({ ...member, lagMs: member.lagMs ?? null }));
  return { ...group, leader: group.leader ?? null, stalenessMs: group.stalenessMs ?? null, members };
}
