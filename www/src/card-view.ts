// An opened card: its title, and its text in a textarea whose typing becomes edits of the shared text. What arrives
// from elsewhere is put in without moving the caret of whoever types here.

import type { SharedText } from "headwater";
import { COLUMNS } from "./board.ts";
import { byTestId, find, setText } from "./dom.ts";
import type { Replica } from "./replica.ts";
import { editBetween, shiftedEdit, shiftedPosition, type Step } from "./text-edit.ts";

type TextObserver = Parameters<SharedText["observe"]>[0];

export class CardView {
  readonly #replica: Replica;
  readonly #form: HTMLFormElement;
  readonly #title: HTMLInputElement;
  readonly #area: HTMLTextAreaElement;
  readonly #column: HTMLElement;
  readonly #onClose: (id: string) => void;
  #id: string | undefined;
  #text: SharedText | undefined;
  /** What the textarea showed when it last agreed with the shared text, before the changes in `#behind`. */
  #shown = "";
  /** What arrived while letters were being composed, which must not be disturbed. */
  #behind: (readonly Step[])[] = [];
  #isComposing = false;

  constructor(pane: HTMLElement, replica: Replica, onClose: (id: string) => void) {
    this.#replica = replica;
    this.#onClose = onClose;
    this.#form = byTestId<HTMLFormElement>(pane, "card-editor");
    this.#title = byTestId<HTMLInputElement>(pane, "card-title");
    this.#area = byTestId<HTMLTextAreaElement>(pane, "card-text");
    this.#column = find(pane, '[data-part="column"]');
    this.#listen(byTestId(pane, "card-close"), byTestId(pane, "card-delete"));
    replica.on("opened", () => this.#bind());
    replica.on("board", () => this.#draw());
  }

  get openCard(): string | undefined {
    return this.#id;
  }

  open(id: string): void {
    const card = this.#replica.board?.card(id);
    if (card === undefined) return;
    this.#id = id;
    this.#form.hidden = false;
    this.#form.setAttribute("aria-label", `Card: ${card.title}`);
    this.#title.value = card.title;
    this.#bind();
    this.#draw();
  }

  /** For a person who opened the card, not for the autopilot. */
  focus(): void {
    this.#area.focus({ preventScroll: true });
    this.#area.setSelectionRange(this.#area.value.length, this.#area.value.length);
  }

  close(): void {
    const id = this.#id;
    if (id === undefined) return;
    const hadFocus = this.#form.contains(document.activeElement);
    this.#unbind();
    this.#id = undefined;
    this.#form.hidden = true;
    if (hadFocus) this.#onClose(id);
  }

  #listen(close: HTMLElement, remove: HTMLElement): void {
    this.#form.addEventListener("submit", (event) => {
      event.preventDefault();
      this.#area.focus();
    });
    this.#form.addEventListener("keydown", (event) => {
      if (event.key === "Escape" && !event.isComposing) this.close();
    });
    close.addEventListener("click", () => this.close());
    remove.addEventListener("click", () => this.#remove());
    this.#title.addEventListener("change", () => this.#rename());
    this.#area.addEventListener("compositionstart", () => (this.#isComposing = true));
    this.#area.addEventListener("compositionend", () => {
      this.#isComposing = false;
      this.#typed();
    });
    this.#area.addEventListener("input", () => this.#typed());
  }

  #bind(): void {
    this.#unbind();
    if (this.#id === undefined) return;
    this.#text = this.#replica.board?.text(this.#id);
    this.#text?.observe(this.#arrived);
    this.#area.disabled = this.#text === undefined;
    this.#shown = this.#text?.toString() ?? "";
    this.#area.value = this.#shown;
  }

  #unbind(): void {
    try {
      this.#text?.unobserve(this.#arrived);
    } catch {
      // The text went away with its card or with the closed database, and its observers with it.
    }
    this.#text = undefined;
    this.#behind = [];
  }

  #draw(): void {
    if (this.#id === undefined) return;
    const card = this.#replica.board?.card(this.#id);
    if (card === undefined) {
      this.close();
      return;
    }
    if (document.activeElement !== this.#title) this.#title.value = card.title;
    const column = COLUMNS.find(({ id }) => id === card.column)?.name ?? card.column;
    setText(this.#column, `In “${column}”. Esc closes.`);
    // Somebody put another card in this one's place: the text is another one, too.
    const text = this.#replica.board?.text(this.#id);
    if (text !== this.#text) this.#bind();
  }

  #typed(): void {
    const text = this.#text;
    if (this.#isComposing || text === undefined) return;
    const { value } = this.#area;
    const made = editBetween(this.#shown, value, this.#area.selectionEnd);
    const edit = made && this.#behind.reduce(shiftedEdit, made);
    this.#shown = value;
    if (edit !== undefined) {
      const what = `Typed in “${this.#title.value}”`;
      this.#replica.write({ what, card: this.#id ?? "", run: `text-${this.#id}` }, () => {
        if (edit.remove > 0) text.delete(edit.index, edit.remove);
        if (edit.insert !== "") text.insert(edit.index, edit.insert);
      });
    }
    this.#catchUp();
  }

  #arrived: TextObserver = (event) => {
    // Nothing says what changed: whatever is being typed builds on what is gone.
    if (event.isReset) return this.#bind();
    const steps = event.delta as readonly Step[];
    if (this.#isComposing) {
      this.#behind.push(steps);
    } else if (this.#text?.toString() !== this.#area.value) {
      // Not what was typed here just now, so it came from elsewhere.
      this.#behind.push(steps);
      this.#catchUp();
    }
  };

  /** Shows the shared text, with the caret where it was among its neighbours. */
  #catchUp(): void {
    const value = this.#text?.toString() ?? "";
    const steps = this.#behind;
    this.#behind = [];
    this.#shown = value;
    if (this.#area.value === value) return;
    const [start, end] = [this.#area.selectionStart, this.#area.selectionEnd].map((caret) =>
      steps.reduce((at, step) => shiftedPosition(at, step), caret),
    );
    const scroll = this.#area.scrollTop;
    this.#area.value = value;
    this.#area.scrollTop = scroll;
    if (document.activeElement === this.#area) this.#area.setSelectionRange(start ?? 0, end ?? 0);
  }

  #rename(): void {
    const title = this.#title.value.trim();
    const id = this.#id;
    const before = id === undefined ? undefined : this.#replica.board?.card(id)?.title;
    if (id === undefined || before === undefined || title === "" || title === before) {
      this.#title.value = before ?? "";
      return;
    }
    this.#replica.write({ what: `Renamed “${before}” to “${title}”`, card: id }, (board) => board.rename(id, title));
  }

  #remove(): void {
    const id = this.#id;
    const title = id === undefined ? undefined : this.#replica.board?.card(id)?.title;
    if (id === undefined || title === undefined) return;
    this.close();
    this.#replica.write({ what: `Deleted “${title}”` }, (board) => board.remove(id));
  }
}
