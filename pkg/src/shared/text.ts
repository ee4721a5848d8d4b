/** Texts: characters with formatting, and embedded values between them. */

import { coded, string, wholeNumber } from "./error.js";
import type { Attributes, SharedEvent, TextDelta } from "./event.js";
import { Kind, tokenIn, type Token } from "./marker.js";
import { fromWasm, register } from "./registry.js";
import { SharedType, toWasm } from "./type.js";

/** What a text's observers receive. */
export type SharedTextEvent = SharedEvent<SharedText, TextDelta, never>;

/**
 * A text that is shared. Positions and lengths count UTF-16 units, as JavaScript strings do; an embedded value counts
 * one. A position inside a character of two units, such as an emoji, is refused.
 *
 * ```ts
 * const text = doc.getText("note");
 * text.insert(0, "Hello ");
 * text.insert(6, "world", { bold: true });
 * ```
 */
export class SharedText extends SharedType<SharedTextEvent> {
  /** @internal */
  readonly kind = Kind.text;
  #preliminary: readonly TextDelta[];

  /**
   * A preliminary text, to be set, inserted or embedded somewhere: from a string, or from a delta of inserts. Changes
   * to it are made when it is placed.
   */
  constructor(content: string | readonly TextDelta[] = "") {
    super();
    if (typeof content !== "string") {
      if (!content.every((step) => "insert" in step)) throw coded("TYPE", "a new text is made of inserts only");
      this.#preliminary = [...content];
    } else {
      this.#preliminary = content === "" ? [] : [{ insert: content }];
    }
  }

  /** Inserts text before `index`. Without attributes it takes on the formatting to its left. */
  insert(index: number, text: string, attributes?: Attributes): void {
    wholeNumber(index, "index");
    string(text, "text");
    this.change((handle, token) => handle.textInsert(token, index, text, attributes));
  }

  /** Deletes `length` units from `index` on. */
  delete(index: number, length: number): void {
    wholeNumber(index, "index");
    wholeNumber(length, "length");
    this.change((handle, token) => handle.textDelete(token, index, length));
  }

  /** Formats `length` units from `index` on; an attribute that is `null` is taken away. */
  format(index: number, length: number, attributes: Attributes): void {
    wholeNumber(index, "index");
    wholeNumber(length, "length");
    this.change((handle, token) => handle.textFormat(token, index, length, attributes));
  }

  /** Inserts an object or a shared type as one unit before `index`. */
  insertEmbed(index: number, value: object, attributes?: Attributes): void {
    wholeNumber(index, "index");
    this.change((handle, token) => {
      handle.textInsertEmbed(token, index, toWasm(value), attributes);
      this.#attachEmbedded(new Map([[index, value]]));
    });
  }

  /** Applies a whole change, walking the text once. */
  applyDelta(delta: readonly TextDelta[]): void {
    const steps = delta.map(stepToWasm);
    this.change((handle, token) => {
      handle.textApplyDelta(token, steps);
      this.#attachEmbedded(insertedAt(delta));
    });
  }

  /** The characters, without formatting and embedded values. */
  override toString(): string {
    if (this.attached) return this.handle.textToString(this.token);
    const texts = this.#read().map((step) => ("insert" in step && typeof step.insert === "string" ? step.insert : ""));
    return texts.join("");
  }

  /** The whole content as the change that would create it. */
  toDelta(): TextDelta[] {
    const { host } = this;
    if (host === undefined) return [...this.#read()];
    const delta = this.handle.textToDelta(this.token) as TextDelta[];
    return delta.map((step) => ("insert" in step ? { ...step, insert: fromWasm(host, step.insert) } : step));
  }

  /** How many UTF-16 units there are, counting one for each embedded value. */
  get length(): number {
    if (this.attached) return this.handle.textLength(this.token);
    return this.#read().reduce((length, step) => length + lengthOf(step), 0);
  }

  /** The characters, as {@link toString} gives them. */
  toJSON(): string {
    return this.toString();
  }

  /** @internal */
  protected content(): readonly unknown[] {
    return this.#preliminary.map(stepToWasm);
  }

  /** @internal */
  protected attachChildren(): void {
    const delta = this.#preliminary;
    this.#preliminary = [];
    this.#attachEmbedded(insertedAt(delta));
  }

  /** The preliminary content, unless changes to it are still to be made. */
  #read(): readonly TextDelta[] {
    if (!this.changesWait) return this.#preliminary;
    throw coded("TYPE", "this text is changed when it is placed in a document; read it after that");
  }

  /** Attaches shared types that now stand at these places. */
  #attachEmbedded(values: ReadonlyMap<number, unknown>): void {
    const { host } = this;
    const shared = [...values].filter(([, value]) => value instanceof SharedType) as [number, SharedType<any>][];
    if (host === undefined || shared.length === 0) return;
    const tokens = new Map<number, Token>();
    let at = 0;
    for (const step of this.handle.textToDelta(this.token) as TextDelta[]) {
      const token = "insert" in step ? tokenIn(step.insert) : undefined;
      if (token !== undefined) tokens.set(at, token);
      at += lengthOf(step);
    }
    for (const [index, value] of shared) {
      const token = tokens.get(index);
      if (token !== undefined) value.attach(host, token);
    }
  }
}

function stepToWasm(step: TextDelta): object {
  return "insert" in step ? { ...step, insert: toWasm(step.insert) } : step;
}

/** How many units a step leaves behind in the text. */
function lengthOf(step: TextDelta): number {
  if ("retain" in step) return step.retain;
  if ("delete" in step) return 0;
  return typeof step.insert === "string" ? step.insert.length : 1;
}

/** Where the embedded values of a delta stand after it was applied. */
function insertedAt(delta: readonly TextDelta[]): Map<number, unknown> {
  const places = new Map<number, unknown>();
  let at = 0;
  for (const step of delta) {
    if ("insert" in step && typeof step.insert !== "string") places.set(at, step.insert);
    at += lengthOf(step);
  }
  return places;
}

register(Kind.text, SharedText);
