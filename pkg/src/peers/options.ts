/** What users pass to join peers, and its checks. */

import { HeadwaterError, malformed } from "../errors.js";
import { known } from "../options.js";

/** The longest token that is passed to a peer, in bytes of UTF-8. */
export const PEER_TOKEN_BYTES_MAX = 8 << 10;

/** Says whether a peer with this token may join. */
export type Authorize = (token: string | undefined) => boolean | Promise<boolean>;

/** How a peer is told who one is, and how one decides who may come. */
export interface PeerOptions {
  /** What is passed to the other side, whose `authorize` decides. It is not looked into. */
  readonly token?: string | undefined;
  /**
   * Decides on the other side's token. No document and no write goes to the other side or is taken from it before this has
   * answered `true`. Without it every peer at the other end of the port is accepted: whoever holds the port reads
   * and writes the whole database.
   */
  readonly authorize?: Authorize | undefined;
}

/** What `connectPeer` takes. */
export interface ConnectPeerOptions extends PeerOptions {
  /** Closes the connection to the peer when it is aborted. */
  readonly signal?: AbortSignal | undefined;
}

/** Checks a token and an `authorize`. */
export function checkPeer({ token, authorize }: PeerOptions): void {
  if (token !== undefined) {
    if (typeof token !== "string") throw malformed("token is a string");
    const bytes = new TextEncoder().encode(token).length;
    if (bytes > PEER_TOKEN_BYTES_MAX) {
      throw new HeadwaterError("TOO_LARGE", `token has ${bytes} bytes, the limit is ${PEER_TOKEN_BYTES_MAX}`);
    }
  }
  if (authorize !== undefined && typeof authorize !== "function") throw malformed("authorize is a function");
}

/** Checks what `connectPeer` takes. */
export function checkConnectPeer(options: ConnectPeerOptions): void {
  known(options, ["token", "authorize", "signal"], "connectPeer");
  checkPeer(options);
  const { signal } = options;
  if (signal !== undefined && typeof signal?.addEventListener !== "function") throw malformed("signal is no AbortSignal");
}
