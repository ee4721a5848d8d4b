// Read after write: one side writes a number and hands its bookmark over, the other side reads at each consistency.
// A read is stale when it answers with less than what was written before it was asked.

import { byTestId, codeOf, describe, find, milliseconds, setText } from "./dom.ts";
import type { Replica } from "./replica.ts";

const DOC = "read-after-write";
const TIMEOUT_MS = 2_000;
/** Numbers of earlier visits that are kept: another tab may still read its own. */
const KEYS_MAX = 40;
const LEVELS = ["eventual", "session", "strong"] as const;
type Level = (typeof LEVELS)[number];

/** Every writer of every visit has a key of its own: what another one wrote at the same time cannot win over it. */
const VISIT = `${Date.now().toString(36)}-${crypto.randomUUID().slice(0, 8)}`;

interface Outcome {
  readonly verdict: "fresh" | "stale" | "error";
  readonly words: string;
  readonly title: string;
  readonly waited: string;
}

export class Reads {
  readonly #root: HTMLElement;
  #writer: Replica;
  #reader: Replica;
  #number = 0;

  constructor(root: HTMLElement, writer: Replica, reader: Replica) {
    this.#root = root;
    this.#writer = writer;
    this.#reader = reader;
    byTestId(root, "read-swap").addEventListener("click", () => {
      [this.#writer, this.#reader] = [this.#reader, this.#writer];
      this.#drawDirection();
    });
    const button = byTestId<HTMLButtonElement>(root, "read-run");
    button.addEventListener("click", async () => {
      if (button.getAttribute("aria-disabled") === "true") return;
      button.setAttribute("aria-disabled", "true");
      await this.#run().catch((error: unknown) => this.#note(describe(error)));
      button.setAttribute("aria-disabled", "false");
    });
    this.#drawDirection();
  }

  #drawDirection(): void {
    const [writer, reader] = [this.#writer.name, this.#reader.name];
    const intro = `${writer} writes a number and hands over its bookmark; ${reader} reads.`;
    setText(byTestId(this.#root, "read-intro"), intro);
    for (const level of LEVELS) this.#show(level, undefined);
  }

  async #run(): Promise<void> {
    const [writer, reader] = [this.#writer, this.#reader];
    for (const level of LEVELS) this.#show(level, undefined);
    const db = writer.db;
    const doc = await db?.doc(DOC);
    // The reader holds the document, too, as an application would; what it reads is still its own copy.
    await reader.db?.doc(DOC);
    if (db === undefined || doc === undefined || reader.db === undefined) {
      this.#note("CLOSED: a replica is being opened; try again in a moment");
      return;
    }
    const numbers = doc.getMap("numbers");
    this.#number += 1;
    const number = this.#number;
    const key = `${VISIT}-${writer.id}`;
    const receipt = doc.transact(() => {
      // Keys come in sorted order, the oldest visit first.
      for (const old of [...numbers.keys()].slice(0, -KEYS_MAX)) numbers.delete(old);
      numbers.set(key, number);
    });
    writer.writes.add(receipt, { what: `Wrote the number ${number}` });
    const session = db.session();
    const bookmark = session.bookmark();
    session.close();
    this.#note(`Wrote ${number}. Bookmark ${bookmark}`);

    const read = (level: Level) => this.#read(reader, level, key, number, bookmark);
    const strong = async () => {
      // Strong answers for what was acknowledged before it began, so it begins when the leader has the write.
      try {
        await receipt.reached("leader", { timeoutMs: TIMEOUT_MS });
      } catch (error) {
        const title = `${writer.name} has not reached the leader: ${describe(error)}`;
        this.#show("strong", { verdict: "error", words: codeOf(error), title, waited: "" });
        this.#note(title);
        return;
      }
      await read("strong");
    };
    await Promise.all([read("eventual"), read("session"), strong()]);
  }

  async #read(reader: Replica, level: Level, key: string, number: number, bookmark: string): Promise<void> {
    const { db } = reader;
    if (db === undefined) return;
    const session = db.session({ from: bookmark });
    const begin = performance.now();
    const waited = () => milliseconds(performance.now() - begin);
    try {
      const { value } = await session.read(DOC, (doc) => asNumber(doc.getMap("numbers").get(key)), {
        consistency: level,
        timeoutMs: TIMEOUT_MS,
      });
      const verdict = value >= number ? "fresh" : "stale";
      const title = `${reader.name} read ${value}; ${number} was written before`;
      this.#show(level, { verdict, words: `${value} · ${verdict}`, title, waited: waited() });
    } catch (error) {
      this.#show(level, { verdict: "error", words: codeOf(error), title: describe(error), waited: waited() });
      this.#note(`${reader.name} at ${level}: ${describe(error)}`);
    } finally {
      session.close();
    }
  }

  #show(level: Level, outcome: Outcome | undefined): void {
    const row = byTestId(this.#root, `read-${level}`);
    const answer = find(row, ".answer");
    row.dataset["verdict"] = outcome?.verdict ?? "none";
    setText(answer, outcome?.words ?? "–");
    answer.title = outcome?.title ?? "";
    setText(find(row, ".waited"), outcome?.waited ?? "");
  }

  #note(words: string): void {
    const note = byTestId(this.#root, "read-note");
    setText(note, words);
    note.title = words;
  }
}

function asNumber(value: unknown): number {
  return typeof value === "number" ? value : 0;
}
