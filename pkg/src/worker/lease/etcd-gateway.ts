/**
 * Requests to the endpoints of one etcd cluster: tried in turn within one time limit, with a token where etcd asks for
 * one. It knows nothing of keys.
 */

import { HeadwaterError, malformed, toHeadwaterError } from "../../errors.js";
import { optional } from "../../options.js";
import { bodyOf } from "../body.js";
import { within } from "../within.js";
import { LEASE_CALL_MS_MAX, LEASE_RECORD_BYTES_MAX, recordText } from "./lease-store.js";

/** The largest answer: a record in base64, and room for what is around it. */
const ANSWER_BYTES_MAX = 2 * LEASE_RECORD_BYTES_MAX;
const ENDPOINTS_MAX = 16;
/** How much of an answer that is none is told. */
const TOLD_MAX = 200;
/** What etcd says of a token that it no longer takes; with the first comes 401, with the second 400. */
const TOKEN_REFUSED = /invalid auth token|revision of auth store is old/;

/** How to reach etcd. */
export interface EtcdOptions {
  /** Client addresses of members of one cluster, as in `http://10.0.0.1:2379`. One that fails is passed over. */
  readonly endpoints: readonly string[];
  /** The user, where etcd has authentication switched on. */
  readonly username?: string | undefined;
  /** The user's password. */
  readonly password?: string | undefined;
  /** Sent along with every request, for what may stand in front of etcd. */
  readonly headers?: Readonly<Record<string, string>> | undefined;
}

/** What an endpoint answered. */
export interface EtcdAnswer<T> {
  readonly answer: T;
  /** Whether an endpoint before it may have done what was asked without answering. */
  readonly mayHaveHappened: boolean;
}

/** The endpoints of one cluster. */
export class EtcdGateway {
  readonly #endpoints: readonly string[];
  readonly #headers: Readonly<Record<string, string>>;
  readonly #user: { readonly name: string; readonly password: string } | undefined;
  #token: string | undefined;
  /** Which one to begin with: the one that answered last. */
  #first = 0;

  /** Asks nothing yet. */
  constructor(options: EtcdOptions) {
    const { endpoints, headers = {}, username, password = "" } = options;
    if (!Array.isArray(endpoints) || endpoints.length < 1 || endpoints.length > ENDPOINTS_MAX) {
      throw malformed(`endpoints is a list of 1 to ${ENDPOINTS_MAX} addresses`);
    }
    optional(username, "string", "username");
    optional(password, "string", "password");
    if (typeof headers !== "object" || headers === null) throw malformed("headers is an object of names and values");
    this.#endpoints = endpoints.map(checkEndpoint);
    this.#headers = { ...headers, "content-type": "application/json" };
    if (username !== undefined) this.#user = { name: username, password };
  }

  /**
   * Asks one endpoint after another until one answers something that `parse` takes. Each has its share of the time that
   * is left, so that a frozen one does not use up the time of those behind it.
   */
  async ask<T>(
    path: string,
    request: object,
    signal: AbortSignal | undefined,
    parse: (answer: never) => T,
  ): Promise<EtcdAnswer<T>> {
    const deadline = Date.now() + LEASE_CALL_MS_MAX;
    const count = this.#endpoints.length;
    const failures: HeadwaterError[] = [];
    for (let tried = 0, first = this.#first; tried < count; tried += 1) {
      const index = (first + tried) % count;
      const endpoint = this.#endpoints[index] as string;
      const timeoutMs = Math.max(Math.floor((deadline - Date.now()) / (count - tried)), 1);
      try {
        const answer = await within(`etcd at ${endpoint}`, timeoutMs, signal, async (signal) =>
          this.#parsed(await this.#authorised(endpoint, path, request, signal), parse),
        );
        this.#first = index;
        return { answer, mayHaveHappened: tried > 0 };
      } catch (error) {
        const failure = toHeadwaterError(error, "STORAGE_UNAVAILABLE", `etcd at ${endpoint}`);
        if (failure.code === "ABORTED") throw failure;
        failures.push(failure);
      }
    }
    // The next call begins with another one, in case this one's first used up the time.
    this.#first = (this.#first + 1) % count;
    throw new HeadwaterError("STORAGE_UNAVAILABLE", failures.map(({ message }) => message).join("; "), {
      cause: failures.at(-1),
    });
  }

  /** Asks with a token if there is a user, and with a new one if the old one is refused. */
  async #authorised(endpoint: string, path: string, request: object, signal: AbortSignal): Promise<RawAnswer> {
    if (this.#user === undefined) return this.#post(endpoint, path, request, signal, undefined);
    const before = this.#token;
    const token = before ?? (await this.#authenticate(endpoint, this.#user, signal));
    const answer = await this.#post(endpoint, path, request, signal, token);
    const isRefused = answer.status === 401 || (answer.status !== 200 && TOKEN_REFUSED.test(answer.text));
    if (!isRefused) return answer;
    // Refused before anything was done, so that asking again is not asking twice.
    if (this.#token === token) this.#token = undefined;
    if (before === undefined) return answer;
    return this.#post(endpoint, path, request, signal, await this.#authenticate(endpoint, this.#user, signal));
  }

  async #authenticate(
    endpoint: string,
    user: { readonly name: string; readonly password: string },
    signal: AbortSignal,
  ): Promise<string> {
    const answer = await this.#post(endpoint, "/v3/auth/authenticate", user, signal, undefined);
    const { token } = this.#parsed(answer, (answer: { token?: unknown }) => answer);
    if (typeof token !== "string") throw new Error("it gave no token");
    this.#token = token;
    return token;
  }

  async #post(
    endpoint: string,
    path: string,
    request: object,
    signal: AbortSignal,
    token: string | undefined,
  ): Promise<RawAnswer> {
    const headers = token === undefined ? this.#headers : { ...this.#headers, authorization: token };
    const body = JSON.stringify(request);
    const response = await fetch(endpoint + path, { method: "POST", headers, body, signal, redirect: "manual" });
    const bytes = await bodyOf(response, ANSWER_BYTES_MAX, "its answer", "STORAGE_UNAVAILABLE");
    return { status: response.status, text: recordText(bytes) };
  }

  #parsed<T>({ status, text }: RawAnswer, parse: (answer: never) => T): T {
    if (status !== 200) throw new Error(`it answered ${status}: ${text.slice(0, TOLD_MAX)}`);
    const answer: unknown = JSON.parse(text);
    if (typeof answer !== "object" || answer === null) throw new Error("it answered JSON that is no object");
    return parse(answer as never);
  }
}

interface RawAnswer {
  readonly status: number;
  readonly text: string;
}

function checkEndpoint(endpoint: unknown): string {
  const url = typeof endpoint === "string" && URL.canParse(endpoint) ? new URL(endpoint) : undefined;
  if (url === undefined || !/^https?:$/.test(url.protocol) || url.search !== "" || url.hash !== "" || url.username !== "") {
    throw malformed(`an endpoint is an address such as http://10.0.0.1:2379, not ${JSON.stringify(endpoint)}`);
  }
  return url.href.replace(/\/+$/, "");
}
