/** What the tests of backups share: requests, the command line, and documents to back up. */

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { join } from "node:path";

import { readBackup } from "headwater";
import * as Y from "yjs";

import { ROOT } from "../harness/env.mjs";

/** What operators show. */
export const SECRET = "a-secret-of-a-test";
const authorization = `Bearer ${SECRET}`;

/** The environment of a worker whose databases can be exported. */
export const env = { HEADWATER_NODE_SECRET: SECRET };

/**
 * @param {import("../harness/worker.mjs").Worker} worker
 * @param {string} database
 * @param {string} [query]
 */
export async function exported(worker, database, query = "") {
  const response = await fetch(`${worker.url}/v1/${database}/export${query}`, { headers: { authorization } });
  if (!response.ok) throw new Error(`export answered ${response.status}: ${await response.text()}`);
  const bookmark = /** @type {string} */ (response.headers.get("headwater-bookmark"));
  return { bookmark, bytes: new Uint8Array(await response.arrayBuffer()) };
}

/**
 * @param {import("../harness/worker.mjs").Worker} worker
 * @param {string} database
 * @param {BodyInit} body
 */
export function imports(worker, database, body) {
  return fetch(`${worker.url}/v1/${database}/import`, { method: "POST", body, headers: { authorization } });
}

/**
 * The parts of a backup.
 * @param {Uint8Array | AsyncIterable<Uint8Array>} backup
 * @param {import("headwater").ReadOptions} [options]
 */
export async function partsOf(backup, options) {
  const parts = [];
  for await (const part of readBackup(backup instanceof Uint8Array ? inPieces(backup, 1 << 16) : backup, options)) parts.push(part);
  return parts;
}

/** @param {Uint8Array} bytes @param {number} size */
export async function* inPieces(bytes, size) {
  for (let at = 0; at < bytes.length; at += size) yield bytes.subarray(at, at + size);
}

/**
 * The documents of a backup as Yjs reads them.
 * @param {Uint8Array} backup
 */
export async function docsOf(backup) {
  const docs = new Map();
  for (const part of await partsOf(backup)) {
    if (part.kind !== "document") continue;
    const doc = new Y.Doc();
    Y.applyUpdate(doc, part.update);
    assert.equal(doc.store.pendingStructs, null, `${part.name} is complete`);
    docs.set(part.name, doc);
  }
  return docs;
}

/**
 * Runs the program `headwater`.
 * @param {readonly string[]} args
 * @returns {Promise<{ code: number, stdout: string, stderr: string }>}
 */
export function headwater(args) {
  const child = spawn(process.execPath, [join(ROOT, "pkg/dist/cli.js"), ...args], {
    env: { ...process.env, ...env },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const said = { stdout: "", stderr: "" };
  child.stdout.on("data", (text) => (said.stdout += text));
  child.stderr.on("data", (text) => (said.stderr += text));
  return new Promise((resolve, reject) => {
    child.once("error", reject);
    child.once("close", (code) => resolve({ code: code ?? -1, ...said }));
  });
}
