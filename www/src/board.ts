// The kanban board as shared types: one document, a map of cards, in each card its title, column, place and text.
// Knows nothing of the DOM, of receipts, or of who else writes.

import { type Document, SharedMap, SharedText } from "headwater";

export const BOARD_DOC = "boards/demo";

export const COLUMNS = [
  { id: "todo", name: "To do" },
  { id: "doing", name: "Doing" },
  { id: "done", name: "Done" },
] as const;
export type ColumnId = (typeof COLUMNS)[number]["id"];

export interface Card {
  readonly id: string;
  readonly title: string;
  readonly column: ColumnId;
  /** Where it stands in its column; two cards that were put in the same place at once are told apart by id. */
  readonly place: number;
  readonly hasText: boolean;
}

/** What a new board begins with. The ids are fixed, so that two replicas that seed at once write the same cards. */
const SEED = [
  { id: "seed-1", column: "todo", title: "Cut a cable and go on working", text: "Switch a side off; write.\n" },
  { id: "seed-2", column: "doing", title: "Open me on both sides", text: "Two people can type here at once.\n" },
  { id: "seed-3", column: "done", title: "Reload with unsent writes", text: "" },
] as const;

export class Board {
  readonly doc: Document;
  readonly #cards: SharedMap;
  readonly #about: SharedMap;

  constructor(doc: Document) {
    this.doc = doc;
    this.#cards = doc.getMap("cards");
    this.#about = doc.getMap("about");
  }

  /** Calls `f` after each change of the board, its texts included. */
  observe(f: () => void): void {
    this.#cards.observeDeep(() => f());
  }

  /** Every card, by column and then by place. */
  cards(): Card[] {
    const json = this.#cards.toJSON() as Record<string, Record<string, unknown>>;
    const cards = Object.entries(json).map(([id, card]) => ({
      id,
      title: typeof card["title"] === "string" ? card["title"] : "",
      column: COLUMNS.find((column) => column.id === card["column"])?.id ?? "todo",
      place: typeof card["place"] === "number" ? card["place"] : 0,
      hasText: typeof card["text"] === "string" && card["text"].trim() !== "",
    }));
    return cards.sort((a, b) => a.place - b.place || (a.id < b.id ? -1 : 1));
  }

  card(id: string): Card | undefined {
    return this.cards().find((card) => card.id === id);
  }

  text(id: string): SharedText | undefined {
    const text: unknown = this.#map(id)?.get("text");
    return text instanceof SharedText ? text : undefined;
  }

  /** Whether the three first cards were written once, by whomever. They do not come back when they are deleted. */
  get isSeeded(): boolean {
    return this.#about.get("seeded") === true || this.#cards.size > 0;
  }

  // The changes below are made within a transaction of the caller's, so that each has a receipt.

  seed(): void {
    SEED.forEach((card, place) => this.#set(card.id, card.title, card.column, place, card.text));
    this.#about.set("seeded", true);
  }

  add(id: string, title: string, column: ColumnId): void {
    this.#set(id, title, column, this.#endOf(column), "");
  }

  rename(id: string, title: string): void {
    this.#map(id)?.set("title", title);
  }

  /** Puts a card before another one of the column, or at its end. */
  move(id: string, column: ColumnId, beforeId?: string): void {
    const others = this.cards().filter((card) => card.column === column && card.id !== id);
    const next = others.findIndex((card) => card.id === beforeId);
    const place = next < 0 ? this.#endOf(column) : between(others[next - 1]?.place, others[next]?.place ?? 0);
    const card = this.#map(id);
    if (card === undefined) return;
    // Only what changed: a move within the column must not undo somebody's move to another.
    if (card.get("column") !== column) card.set("column", column);
    card.set("place", place);
  }

  remove(id: string): void {
    this.#cards.delete(id);
  }

  #set(id: string, title: string, column: ColumnId, place: number, text: string): void {
    this.#cards.set(id, new SharedMap<unknown>({ title, column, place, text: new SharedText(text) }));
  }

  #map(id: string): SharedMap | undefined {
    const card: unknown = this.#cards.get(id);
    return card instanceof SharedMap ? card : undefined;
  }

  #endOf(column: ColumnId): number {
    return Math.max(0, ...this.cards().filter((card) => card.column === column).map((card) => card.place)) + 1;
  }
}

function between(before: number | undefined, after: number): number {
  return before === undefined ? after - 1 : (before + after) / 2;
}
