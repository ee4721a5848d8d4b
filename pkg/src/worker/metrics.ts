/**
 * The figures of all nodes that are in memory here, as Prometheus reads them (text format 0.0.4). Where the platform
 * spreads objects over several places, each place answers for its own.
 */

import type { Held, NodeStatus } from "../effects.js";

/** What a node shows. Reading it must not touch the platform: whoever asks is in no object. */
export interface Figures {
  readonly database: string;
  readonly member: string;
  readonly status: NodeStatus;
  readonly storageBytes: number;
  readonly memoryBytes: number;
  readonly events: ReadonlyMap<string, number>;
}

/** Who has figures. */
export interface Measured {
  figures(): Figures | undefined;
}

type Labels = Readonly<Record<string, string>>;
type Sample = readonly [value: number | boolean | undefined, labels?: Labels];

interface Family {
  readonly name: string;
  readonly type: "gauge" | "counter";
  readonly help: string;
  readonly samples: (figures: Figures) => readonly Sample[];
}

const ROLES = ["leader", "follower", "candidate"];

const FAMILIES: readonly Family[] = [
  gauge("role", "1 at the role that the node has", ({ status }) =>
    ROLES.map((role) => [role === (status.group?.role ?? "leader"), { role }])),
  gauge("multi_leader", "Whether several members lead", ({ status }) =>
    [[status.group === undefined ? undefined : status.group.topology === "multi-leader"]]),
  gauge("epoch", "The leader's tenure that the node knows of", ({ status }) => [[Number(status.epoch)]]),
  gauge("held_entries", "Entries that the node holds durably", ({ status: { group, lsn } }) =>
    [[group === undefined ? Number(lsn) : entries(group.held)]]),
  gauge("stable_entries", "Entries that a quorum holds, as far as the node knows", ({ status: { group, lsn } }) =>
    [[group === undefined ? Number(lsn) : entries(group.stable)]]),
  gauge("visible_entries", "Entries that the node shows its clients", ({ status: { group, lsn } }) =>
    [[group === undefined ? Number(lsn) : entries(group.visible)]]),
  gauge("staleness_seconds", "How long ago the node asked the question whose answer it shows", ({ status }) =>
    [[seconds(status.group?.stalenessMs)]]),
  gauge("isolated", "Whether the node reaches too few of its group", ({ status }) => [[status.group?.isIsolated]]),
  gauge("follower_lag_entries", "Entries that a follower, or another leader, does not hold durably, as far as is known",
    followers(({ lagEntries }) => lagEntries)),
  gauge("follower_lag_bytes", "What those weigh, at most", followers(({ lagBytes }) => lagBytes)),
  gauge("follower_lag_seconds", "For how long a follower has been behind", followers(({ lagMs }) => seconds(lagMs))),
  gauge("follower_connected", "Whether a follower answered the last call", followers(({ isConnected }) => isConnected)),
  counter("merged_entries_total", "Entries that came back from sealed epochs", ({ status }) => [[status.group?.mergedEntries]]),
  counter("elections_total", "Elections in which the node was a candidate", ({ status }) => [[status.group?.elections]]),
  counter("rows_committed_total", "Log rows committed", ({ status }) => [[Number(status.rowsCommitted)]]),
  counter("entries_committed_total", "Entries committed", ({ status }) => [[Number(status.entriesCommitted)]]),
  counter("events_total", "Events, by kind", ({ events }) => [...events].map(([event, count]) => [count, { event }])),
  gauge("connections", "Replicas that are connected", ({ status }) => [[status.connections]]),
  gauge("folded_entries", "Entries up to which the log is folded into runs", ({ status }) => [[entries(status.compacted.folded)]]),
  gauge("trimmed_entries", "Entries up to which the log is trimmed", ({ status }) => [[entries(status.compacted.trimmed)]]),
  gauge("unfolded_entries", "Entries that are not folded yet", ({ status }) => [[status.compacted.unfoldedEntries]]),
  counter("folds_total", "Steps that folded a part of the log", ({ status }) => [[status.compacted.folds]]),
  counter("squashes_total", "Snapshots of documents that were made", ({ status }) => [[status.compacted.squashes]]),
  counter("squashes_given_up_total", "Attempts at a snapshot that were given up", ({ status }) => [[status.compacted.givenUp]]),
  gauge("storage_bytes", "What the node takes on disk", ({ storageBytes }) => [[storageBytes]]),
  gauge("memory_bytes", "What the node's instance of wasm takes in memory, which never shrinks", ({ memoryBytes }) => [[memoryBytes]]),
];

/** Weak: an object that the platform puts to sleep must not be kept in memory for its figures. */
const nodes = new Map<string, WeakRef<Measured>>();

/** Has a node's figures shown from now on, in place of those of the instance before it. */
export function measure(id: string, node: Measured): void {
  // Cloudflare has them from the compatibility date 2025-05-05 on; before, a worker has no metrics.
  if (typeof WeakRef === "undefined") return;
  for (const [id, node] of nodes) if (node.deref() === undefined) nodes.delete(id);
  nodes.set(id, new WeakRef(node));
}

/** The figures of all nodes. */
export function metrics(): string {
  const all: Figures[] = [];
  for (const [id, node] of nodes) {
    const figures = node.deref()?.figures();
    if (figures === undefined) nodes.delete(id);
    else all.push(figures);
  }
  return FAMILIES.map((family) => textOf(family, all)).join("");
}

function textOf({ name, type, help, samples }: Family, all: readonly Figures[]): string {
  const lines = all.flatMap((figures) =>
    samples(figures).flatMap(([value, labels]) =>
      value === undefined ? [] : [`${name}${labelsOf(figures, labels)} ${Number(value)}\n`],
    ),
  );
  return lines.length === 0 ? "" : `# HELP ${name} ${help}\n# TYPE ${name} ${type}\n${lines.join("")}`;
}

function labelsOf({ database, member }: Figures, more: Labels = {}): string {
  const labels = Object.entries({ database, member, ...more });
  return `{${labels.map(([name, value]) => `${name}="${escaped(value)}"`).join(",")}}`;
}

function escaped(value: string): string {
  return value.replace(/[\\"]/g, "\\$&").replace(/\n/g, "\\n");
}

function gauge(name: string, help: string, samples: Family["samples"]): Family {
  return { name: `headwater_${name}`, type: "gauge", help, samples };
}

function counter(name: string, help: string, samples: Family["samples"]): Family {
  return { name: `headwater_${name}`, type: "counter", help, samples };
}

type Follower = NonNullable<NodeStatus["group"]>["members"][number];

function followers(figure: (follower: Follower) => Sample[0]): Family["samples"] {
  return ({ status }) => (status.group?.members ?? []).map((member) => [figure(member), { follower: member.name }]);
}

function entries(held: Held): number {
  return Object.values(held).reduce((sum, lsn) => sum + lsn, 0);
}

function seconds(ms: number | undefined): number | undefined {
  return ms === undefined ? undefined : ms / 1000;
}
