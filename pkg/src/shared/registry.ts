/**
 * One object for each shared type of a document, however often it is read: `map.get("x") === map.get("x")`.
 *
 * The classes register themselves here, so that none has to import another.
 */

import { coded, string } from "./error.js";
import type { DocHost } from "./host.js";
import { Kind, kindOf, tokenIn, type Token } from "./marker.js";
import type { AnySharedType } from "./type.js";

const known = new WeakMap<DocHost, Map<Token, AnySharedType>>();
const classes = new Map<Kind, new () => AnySharedType>();

/** Says which class stands for a kind. */
export function register(kind: Kind, constructor: new () => AnySharedType): void {
  classes.set(kind, constructor);
}

/** The object for a shared type of this document. */
export function resolve(host: DocHost, token: Token): AnySharedType {
  const found = typesOf(host).get(token);
  if (found !== undefined) return found;
  const constructor = classes.get(kindOf(token));
  if (constructor === undefined) throw coded("TYPE", "a shared type of unknown kind");
  const type = new constructor();
  type.attach(host, token);
  return type;
}

/** Remembers the object for a shared type. */
export function remember(host: DocHost, token: Token, type: AnySharedType): void {
  typesOf(host).set(token, type);
}

/** A value that came out of wasm, with shared types as objects. */
export function fromWasm(host: DocHost, value: unknown): any {
  const token = tokenIn(value);
  return token === undefined ? value : resolve(host, token);
}

/** The root type `name` of a document; every document has it. */
export function root(host: DocHost, kind: Kind, name: string): AnySharedType {
  const type = resolve(host, host.handle.root(kind, string(name, "name")));
  type.rootName = name;
  return type;
}

/**
 * The document was made anew in another instance. Root types are found by their names; what is nested has to be got anew, and
 * throws until then.
 */
export function renewTypes(host: DocHost): void {
  const types = typesOf(host);
  const renewed = new Map<Token, AnySharedType>();
  known.set(host, renewed);
  for (const type of types.values()) {
    if (type.rootName === undefined) {
      type.lapse(coded("DELETED", "the document was made anew from storage; get this shared type again from the one that it is in"));
      continue;
    }
    const token = host.handle.root(type.kind, type.rootName);
    type.renew(token);
    renewed.set(token, type);
  }
}

function typesOf(host: DocHost): Map<Token, AnySharedType> {
  let types = known.get(host);
  if (types === undefined) {
    types = new Map();
    known.set(host, types);
  }
  return types;
}
