/** Backups and the past at the members of a group: whoever is asked, the leader writes, and all show it. */

import assert from "node:assert/strict";
import { test } from "node:test";

import { open } from "headwater";

import { owner } from "../harness/cleanup.mjs";
import { figures } from "../harness/figures.mjs";
import { Worker } from "../harness/worker.mjs";
import { docsOf, env, SECRET } from "./backups.mjs";

const MEMBERS = [{ name: "paris", priority: 2 }, { name: "tokyo", priority: 1 }, { name: "ohio", priority: 1 }];
const headers = { authorization: `Bearer ${SECRET}` };

test("a follower exports, passes an import and a restoration on, and shows them", async (t) => {
  const all = owner(t);
  const HEADWATER_GROUP = JSON.stringify({ quorum: 2, members: MEMBERS });
  const worker = await Worker.start(all, { env: { ...env, HEADWATER_GROUP } });
  const at = (/** @type {string} */ name) => `${worker.url}/members/${name}/v1`;

  const db = await open("team", { url: `${worker.url}/members/tokyo`, storage: "memory", concern: "quorum" });
  const doc = await db.doc("notes");
  await doc.transact(() => doc.getMap("map").set("n", 1)).reached();
  const session = db.session();
  const { value: then } = await session.read("notes", (doc) => doc.toJSON());
  const bookmark = session.bookmark();
  await doc.transact(() => doc.getMap("map").set("n", 2)).reached();
  const large = await db.doc("large");
  for (let n = 0; n < 10; n += 1) await large.transact(() => large.getText("text").insert(0, "x".repeat(500_000))).reached();

  const answer = await fetch(`${at("ohio")}/team/export?consistency=strong`, { headers });
  assert.equal(answer.status, 200);
  const bytes = new Uint8Array(await answer.arrayBuffer());
  const docs = await docsOf(bytes);
  assert.equal(docs.get("notes").getMap("map").get("n"), 2);

  // The past, of a member that did not take the writes.
  const past = await fetch(`${at("ohio")}/team/docs/notes?at=${bookmark}`);
  assert.deepEqual(await past.json(), then);
  const restored = await (await fetch(`${at("ohio")}/team/restore/notes?at=${bookmark}`, { method: "POST" })).json();
  assert.equal(restored.isChanged, true);
  for (const { name } of MEMBERS) {
    const shown = await fetch(`${at(name)}/team/docs/notes?bookmark=${restored.bookmark}`);
    assert.deepEqual(await shown.json(), then, name);
  }

  // Into another database, by way of a follower; what is too much for it goes to the leader.
  const other = await open("copy", { url: `${worker.url}/members/tokyo`, storage: "memory", concern: "quorum" });
  const begun = await other.doc("begun");
  await begun.transact(() => begun.getMap("map").set("n", 1)).reached();
  const small = await (await fetch(`${at("ohio")}/team/export?doc=notes`, { headers })).arrayBuffer();
  const imported = await fetch(`${at("ohio")}/copy/import`, { method: "POST", headers, body: small });
  assert.equal(imported.status, 200, await imported.clone().text());
  const done = await imported.json();
  const shown = await fetch(`${at("paris")}/copy/docs/notes?bookmark=${done.bookmark}`);
  assert.deepEqual(await shown.json(), then);
  const refused = await fetch(`${at("ohio")}/copy/import`, { method: "POST", headers, body: bytes });
  assert.deepEqual([refused.status, (await refused.json()).code], [421, "NOT_LEADER"]);
  const whole = await fetch(`${at("paris")}/copy/import`, { method: "POST", headers, body: bytes });
  assert.equal(whole.status, 200, await whole.clone().text());
  const { bookmark: end } = await whole.json();
  const length = (await (await fetch(`${at("ohio")}/copy/docs/large?bookmark=${end}`)).json()).text.length;
  assert.equal(length, 5_000_000);
  await db.close();
  await other.close();
  figures("backup-group", { members: MEMBERS.length, "documents imported": done.documents + 2, restorations: 1 });
});
