/** `headwater import`: a backup into a database. */

import { createReadStream } from "node:fs";

import { type BackupTotals, readBackup } from "../backup/format.js";
import { HeadwaterError } from "../errors.js";
import { stream, urlsOf, URL_OPTION } from "./ask.js";
import type { Command } from "./command.js";
import { Progress, sizeOf } from "./progress.js";
import { SECRET_OPTION, secretOf } from "./secret.js";

/** The command. */
export const importCommand: Command = {
  name: "import",
  operands: ["DATABASE", "FILE"],
  summary: "Writes what is in a backup into a database, empty or not.",
  options: { ...URL_OPTION, ...SECRET_OPTION, json: { help: "says what was written as one line of JSON" } },
  more: `The file is read to its end before anything is sent. Documents become writes like any other: what is there already
changes nothing and nothing is taken away, so that an import which was interrupted is simply done again. To bring a document
back to what it was, there is \`headwater restore\`.`,
  async run(given) {
    const [database, file, secret] = [given.operand(0), given.operand(1), secretOf(given)];
    const progress = new Progress(given.has("json"));
    try {
      const totals = await totalsOf(file, (done) => progress.tell(`checking: ${done.documents} documents, ${sizeOf(done.bytes)}`));
      const what = `${totals.documents} documents, ${sizeOf(totals.bytes)}`;
      const tell = (bytes: number) => progress.tell(`importing ${what}: ${sizeOf(bytes)} sent`);
      const response = await stream(urlsOf(given), `/v1/${encodeURIComponent(database)}/import`, () => ({
        method: "POST",
        headers: { authorization: `Bearer ${secret}`, "content-type": "application/vnd.headwater.backup" },
        body: sending(file, tell),
        duplex: "half",
      }));
      const done = (await response.json()) as BackupTotals & { readonly bookmark: string };
      progress.end();
      if (given.has("json")) console.log(JSON.stringify(done));
      else console.log(`${done.documents} documents, ${sizeOf(done.bytes)} imported; bookmark ${done.bookmark}`);
      return 0;
    } finally {
      progress.end();
    }
  },
};

/** Reads a backup to its end. */
async function totalsOf(file: string, tell: (done: BackupTotals) => void): Promise<BackupTotals> {
  const done = { documents: 0, bytes: 0 };
  for await (const part of readBackup(open(file))) {
    if (part.kind !== "document") continue;
    done.documents += 1;
    done.bytes += part.update.length;
    tell(done);
  }
  return done;
}

/** The file as it is sent; what was read of it is as good as sent, give or take what is on its way. */
function sending(file: string, tell: (bytes: number) => void): ReadableStream<Uint8Array> {
  const parts = open(file);
  let bytes = 0;
  return new ReadableStream<Uint8Array>({
    async pull(controller) {
      const { done, value } = await parts.next();
      if (done === true) return controller.close();
      bytes += value.length;
      tell(bytes);
      controller.enqueue(value);
    },
    async cancel() {
      await parts.return(undefined);
    },
  });
}

async function* open(file: string): AsyncGenerator<Uint8Array> {
  try {
    yield* createReadStream(file, { highWaterMark: 256 << 10 });
  } catch (cause) {
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new HeadwaterError(code === "ENOENT" ? "NOT_FOUND" : "STORAGE_UNAVAILABLE", message, { cause });
  }
}
