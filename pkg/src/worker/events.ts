/** What an operator wants to hear of: one line of JSON each, and how often each kind came. */

import type { EventEffect } from "../effects.js";

/** The events of one node. */
export class Events {
  readonly #from: { readonly database: string; readonly member: string };
  /** How often each kind came. */
  readonly counts = new Map<string, number>();

  /** None yet. */
  constructor(database: string, member: string) {
    this.#from = { database, member };
  }

  /** Tells of one. */
  tell({ type: _, event, ...figures }: EventEffect): void {
    this.counts.set(event, (this.counts.get(event) ?? 0) + 1);
    console.log(JSON.stringify({ headwater: event, at: new Date().toISOString(), ...this.#from, ...figures }));
  }
}
