// What a person did to a textarea, as an edit of the shared text; and where a caret goes when somebody else edits.
// Pure: positions count UTF-16 units, as both sides do.

export interface Edit {
  readonly index: number;
  readonly remove: number;
  readonly insert: string;
}

export interface Step {
  readonly insert?: unknown;
  readonly retain?: number;
  readonly delete?: number;
}

/**
 * The one edit that leads from `before` to `after`, or `undefined` if they are equal. The caret stands behind what was
 * typed, which decides among the places that a repeated letter could have gone to.
 */
export function editBetween(before: string, after: string, caret: number): Edit | undefined {
  if (before === after) return undefined;
  const shorter = Math.min(before.length, after.length);
  let suffix = 0;
  const suffixMax = Math.min(shorter, after.length - caret);
  while (suffix < suffixMax && before.at(-1 - suffix) === after.at(-1 - suffix)) suffix += 1;
  let prefix = 0;
  while (prefix < shorter - suffix && before[prefix] === after[prefix]) prefix += 1;
  // A character of two units is taken out and put in as a whole.
  if (prefix > 0 && isHighSurrogate(before, prefix - 1)) prefix -= 1;
  if (suffix > 0 && isLowSurrogate(before, before.length - suffix)) suffix -= 1;
  return {
    index: prefix,
    remove: before.length - prefix - suffix,
    insert: after.slice(prefix, after.length - suffix),
  };
}

/** Where a position goes when `steps` are applied to the text it stands in. */
export function shiftedPosition(position: number, steps: readonly Step[]): number {
  let at = 0;
  let shifted = position;
  for (const step of steps) {
    if (step.retain !== undefined) {
      at += step.retain;
    } else if (step.delete !== undefined) {
      shifted -= Math.min(step.delete, Math.max(0, shifted - at));
    } else {
      const length = typeof step.insert === "string" ? step.insert.length : 1;
      // Text that arrives exactly at the caret goes behind it: nobody's typing pushes another's caret along.
      if (at < shifted) shifted += length;
      at += length;
    }
  }
  return shifted;
}

/** The same edit in a text to which `steps` were applied meanwhile. */
export function shiftedEdit(edit: Edit, steps: readonly Step[]): Edit {
  const index = shiftedPosition(edit.index, steps);
  const end = shiftedPosition(edit.index + edit.remove, steps);
  return { index, remove: end - index, insert: edit.insert };
}

function isHighSurrogate(text: string, index: number): boolean {
  const unit = text.charCodeAt(index);
  return unit >= 0xd800 && unit < 0xdc00;
}

function isLowSurrogate(text: string, index: number): boolean {
  const unit = text.charCodeAt(index);
  return unit >= 0xdc00 && unit < 0xe000;
}
