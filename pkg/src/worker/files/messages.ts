/** What members of a group ask each other of files: JSON one way, bytes the other. */

import { HeadwaterError, malformed } from "../../errors.js";

/** A question. `from` is whoever asks. */
export type FileMessage =
  /** Have this file too: get it from me. Answers {@link HoldAnswer}. */
  | { readonly ask: "hold"; readonly from: string; readonly id: string; readonly size: number; readonly type: string }
  /** The digests of a file's chunks, as bytes. */
  | { readonly ask: "hashes"; readonly id: string }
  /** A chunk, as bytes. */
  | { readonly ask: "chunk"; readonly id: string; readonly n: number }
  /** Which of these do your documents refer to, or do you know to be new? Answers ids. */
  | { readonly ask: "inUse"; readonly ids: readonly string[] }
  /** No document of anybody refers to these any more. */
  | { readonly ask: "drop"; readonly ids: readonly string[] }
  /** I have no files: whatever you took me to hold, I do not. */
  | { readonly ask: "empty"; readonly from: string };

/** Whether the member holds all of the file now. */
export interface HoldAnswer {
  readonly isHeld: boolean;
}

/** As bytes. */
export function encode(value: unknown): Uint8Array<ArrayBuffer> {
  return new TextEncoder().encode(JSON.stringify(value));
}

/** What bytes say. */
export function decode(bytes: Uint8Array): unknown {
  try {
    return JSON.parse(new TextDecoder().decode(bytes));
  } catch (cause) {
    throw Object.assign(malformed("what a member said of files is no JSON"), { cause });
  }
}

/** A question, read. Only members ask: its shape is what the same package wrote, maybe a newer one. */
export function messageOf(bytes: Uint8Array): FileMessage {
  const message = decode(bytes) as FileMessage;
  if (["hold", "hashes", "chunk", "inUse", "drop", "empty"].includes(message?.ask)) return message;
  throw new HeadwaterError("VERSION", "another member asks what this one does not know; update it");
}
