// Types for the visitor: each side writes a line of its own into one card that is open on both, letter by letter, and
// now and then moves a card. All of it by the same writes that a person's hands make.

import { COLUMNS } from "./board.ts";
import type { Replica } from "./replica.ts";
import type { ReplicaView } from "./replica-view.ts";

const LETTER_MS = 110;
const LETTERS_BETWEEN_MOVES = 40;
const CARD = "autopilot";

const LINES = {
  laptop: "what is written here runs down to the sea, and every stream that joins it keeps its own water. ",
  phone: "two hands on one page, no lock between them, and still both sides end up reading the same words. ",
} as const;

export interface Side {
  readonly replica: Replica;
  readonly view: ReplicaView;
}

export class Autopilot {
  readonly #sides: readonly Side[];
  #timer: ReturnType<typeof setInterval> | undefined;
  #letters = 0;

  constructor(sides: readonly Side[]) {
    this.#sides = sides;
  }

  get isRunning(): boolean {
    return this.#timer !== undefined;
  }

  toggle(): void {
    if (this.#timer !== undefined) {
      clearInterval(this.#timer);
      this.#timer = undefined;
    } else {
      this.#timer = setInterval(() => this.#tick(), LETTER_MS);
    }
  }

  #tick(): void {
    const side = this.#sides[this.#letters % this.#sides.length];
    this.#letters += 1;
    if (side?.replica.board === undefined) return;
    if (this.#letters % LETTERS_BETWEEN_MOVES === 0) this.#moveSomething(side.replica);
    else this.#typeLetter(side);
  }

  #typeLetter({ replica, view }: Side): void {
    const first = this.#sides[0]?.replica === replica;
    if (replica.board?.card(CARD) === undefined) {
      // One side makes the card, so that the other does not replace it; alone, it waits until the card arrives.
      if (first) replica.write({ what: "Added “Duet”", card: CARD }, (board) => board.add(CARD, "Duet", "doing"));
      return;
    }
    if (view.card.openCard === undefined) {
      view.card.open(CARD);
      view.drawWork();
    }
    const about = { what: "Typed in “Duet”", card: CARD, run: `text-${CARD}` };
    const name = `${replica.name}: `;
    replica.write(about, (board) => {
      const text = board.text(CARD);
      if (text === undefined) return;
      const before = text.toString();
      const start = before.indexOf(name);
      if (start < 0) {
        text.insert(before.length, `${before === "" ? "" : "\n"}${name}`);
        return;
      }
      const from = start + name.length;
      const newline = before.indexOf("\n", from);
      const end = newline < 0 ? before.length : newline;
      const line = LINES[replica.id];
      // A line that is full begins anew.
      if (end - from >= line.length) text.delete(from, end - from);
      else text.insert(end, line.charAt(end - from));
    });
  }

  #moveSomething(replica: Replica): void {
    const cards = replica.board?.cards().filter((card) => card.id !== CARD) ?? [];
    const card = cards[Math.floor(Math.random() * cards.length)];
    const column = COLUMNS[Math.floor(Math.random() * COLUMNS.length)];
    if (card === undefined || column === undefined || card.column === column.id) return;
    const what = `Moved “${card.title}” to ${column.name}`;
    replica.write({ what, card: card.id }, (board) => board.move(card.id, column.id));
  }
}
