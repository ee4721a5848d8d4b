// The stages of a write, in order.

import type { Stage } from "headwater";

export const STAGES = ["applied", "local", "leader", "quorum", "all"] as const satisfies readonly Stage[];

/** How far a stage is, 0 to 4; -1 for `rejected` and whatever else is no stage. */
export function stageRank(stage: string): number {
  return (STAGES as readonly string[]).indexOf(stage);
}

export function isAtLeader(stage: string): boolean {
  return stageRank(stage) >= stageRank("leader");
}
