/** A direct connection to one peer, as users have it. */

import type { HeadwaterError } from "../errors.js";

/** A direct connection to one peer: `db.connectPeer(port)` makes one. */
export class Peer {
  /**
   * Resolves when the connection has ended: with `null` if either side closed it, else with what went wrong. It never
   * rejects. Its codes: `OFFLINE`, the port was lost; `BUSY`, the other side takes in too little; `MALFORMED`, `TOO_LARGE`,
   * `OUT_OF_ORDER` or `VERSION`, at the other end is something else, this very replica, or another version;
   * `DATABASE_RESET`, it is a copy of another leader's database; `UNAUTHORIZED`, one side's `authorize` has refused the other.
   */
  readonly closed: Promise<HeadwaterError | null>;
  readonly #parts: PeerParts;

  /** Made by the package. */
  constructor(parts: PeerParts) {
    this.#parts = parts;
    this.closed = parts.closed;
  }

  /** The replica at the other end, by the number of its storage, in 16 hexadecimal digits; `null` until it has said so. */
  get id(): string | null {
    return this.#parts.id();
  }

  /** Closes the connection, and the port with it. The other side is told. */
  close(): void {
    this.#parts.end(null);
  }

  /** @internal It is over, for this reason. */
  end(error: HeadwaterError | null): void {
    this.#parts.end(error);
  }
}

/** What a {@link Peer} is made of. */
export interface PeerParts {
  readonly closed: Promise<HeadwaterError | null>;
  readonly id: () => string | null;
  readonly end: (error: HeadwaterError | null) => void;
}

/** A replica of which this one knows, directly or by others. */
export interface PeerStatus {
  /** The replica, by the number that its storage was given once, in 16 hexadecimal digits. */
  readonly id: string;
  /** Whether there is a connection to it now. Of others it is known what they have stored, by way of those in between. */
  readonly isDirect: boolean;
  /** Writes held here that it is not known to hold durably. */
  readonly behind: number;
}
