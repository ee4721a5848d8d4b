/** The other members of a group, as a node asks them. It does not know what is asked. */

import { fromPlain, HeadwaterError, type PlainError } from "../../errors.js";
import { bodyOf } from "../body.js";
import { within } from "../within.js";
import { checkAddress } from "./address.js";
import type { Command, Done } from "./command.js";
import type { GroupConfig } from "./config.js";
import { type NodeNamespace, type NodeStub, objectOf, type Outcome, valueOf } from "./objects.js";

/** The longest call or answer, as in the core. */
export const CALL_BYTES_MAX = 8 << 20;
/** On a command that a member passes on to the one that leads: it goes no further. */
export const PASSED_ON_HEADER = "headwater-passed-on";

/** Whom to ask, and for how long. */
export interface To {
  readonly member: string;
  readonly address: string;
  readonly timeoutMs: number;
}

/** A way to the others. A failure on it is `OFFLINE`, and so is an answer that does not come in time. */
export interface Peers {
  /** Asks a member something. */
  call(to: To, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  /** The same for files. */
  files(to: To, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array>;
  /** Passes an operator's command on. */
  administer(to: To, command: Command): Promise<Done>;
}

/** Members that are objects of one worker. Nothing between them is open to anybody outside of it. */
export class ObjectPeers implements Peers {
  readonly #namespace: NodeNamespace;
  readonly #group: GroupConfig;
  readonly #database: string;

  /** For one database. */
  constructor(namespace: NodeNamespace, group: GroupConfig, database: string) {
    this.#namespace = namespace;
    this.#group = group;
    this.#database = database;
  }

  /** {@inheritDoc Peers.call} */
  call(to: To, bytes: Uint8Array): Promise<Uint8Array> {
    return this.#ask(to, (object) => object.called(this.#database, bytes));
  }

  /** {@inheritDoc Peers.files} */
  files(to: To, bytes: Uint8Array): Promise<Uint8Array> {
    return this.#ask(to, (object) => object.calledForFiles(this.#database, bytes));
  }

  /** {@inheritDoc Peers.administer} */
  administer(to: To, command: Command): Promise<Done> {
    return this.#ask(to, (object) => object.administer(this.#database, command, true));
  }

  #ask<T>(
    { member, timeoutMs }: To,
    ask: (object: NodeStub) => Promise<Outcome<T>>,
  ): Promise<T> {
    return within(member, timeoutMs, undefined, async () => {
      // A stub each time: one whose object has failed stays broken.
      return valueOf(await ask(objectOf(this.#namespace, this.#group, member, this.#database)));
    }, "OFFLINE");
  }
}

/** Members that are processes of their own. */
export class HttpPeers implements Peers {
  readonly #group: GroupConfig;
  readonly #secret: string;
  readonly #database: string;

  /** For one database. */
  constructor(group: GroupConfig, secret: string, database: string) {
    this.#group = group;
    this.#secret = secret;
    this.#database = database;
  }

  /** {@inheritDoc Peers.call} */
  call(to: To, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return this.#post(to, "group", bytes, {});
  }

  /** {@inheritDoc Peers.files} */
  files(to: To, bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
    return this.#post(to, "group/files", bytes, {});
  }

  /** {@inheritDoc Peers.administer} */
  async administer(to: To, { name, ...body }: Command): Promise<Done> {
    const headers = { "content-type": "application/json", [PASSED_ON_HEADER]: "1" };
    const answer = await this.#post(to, `admin/${name}`, JSON.stringify(body), headers);
    return JSON.parse(new TextDecoder().decode(answer)) as Done;
  }

  #post(
    { member, address, timeoutMs }: To,
    path: string,
    body: BodyInit,
    headers: Record<string, string>,
  ): Promise<Uint8Array> {
    return within(member, timeoutMs, undefined, async (signal) => {
      // It may come from the record, which another member's configuration wrote.
      const base = checkAddress(address, `the address of ${member}`, this.#group.isInsecure);
      const url = `${base}/v1/${encodeURIComponent(this.#database)}/${path}?member=${member}`;
      const authorization = `Bearer ${this.#secret}`;
      // An answer that leads elsewhere is none: the secret goes nowhere but there.
      const init = { method: "POST", body, signal, redirect: "manual" } as const;
      const response = await fetch(url, { ...init, headers: { ...headers, authorization } });
      const bytes = await bodyOf(response, CALL_BYTES_MAX, `the answer of ${member}`, "OFFLINE");
      if (response.status !== 200) throw refusal(member, response.status, bytes);
      return bytes;
    }, "OFFLINE");
  }
}

function refusal(member: string, status: number, bytes: Uint8Array): HeadwaterError {
  const text = new TextDecoder().decode(bytes.subarray(0, 1024));
  try {
    const { code, message } = JSON.parse(text) as PlainError;
    return fromPlain({ code, message: `${member}: ${message}` });
  } catch {
    return new HeadwaterError("OFFLINE", `${member} answered ${status}: ${text.slice(0, 200)}`);
  }
}
