/** Bodies of requests and answers, up to a length. */

import { type ErrorCode, HeadwaterError } from "../errors.js";

/** The body, unless it is longer than that: then what it says of its length, or else the part too many, is the last that is read. */
export async function bodyOf(
  { headers, body }: Pick<Response, "headers" | "body">,
  bytesMax: number,
  what: string,
  code: ErrorCode,
): Promise<Uint8Array<ArrayBuffer>> {
  const excess = () => new HeadwaterError(code, `${what} has more than ${bytesMax} bytes`);
  if (Number(headers.get("content-length")) > bytesMax) throw excess();
  const reader = body?.getReader();
  const parts: Uint8Array<ArrayBuffer>[] = [];
  let length = 0;
  for (let part = await reader?.read(); part?.value !== undefined; part = await reader?.read()) {
    length += part.value.length;
    if (length > bytesMax) {
      await reader?.cancel();
      throw excess();
    }
    parts.push(part.value);
  }
  const bytes = new Uint8Array(length);
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
