/**
 * A claim on a directory: one process at a time, until it ends, however it ends. It knows nothing of what is in there.
 *
 * A claim is a named pipe that its owner holds open for reading. Opening a pipe for writing fails while nobody reads, so
 * that anybody can tell a live claim from one that was left behind; the kernel closes what a dead process held, so that
 * there is no number to be mistaken for another process, and no time to wait out. The open end can be handed to a child
 * as one of its streams: then the claim lasts until both have ended. Pipes are the kernel's own: this holds among
 * all processes of one machine, containers included, and not between machines that share a disk.
 */

import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { closeSync, constants, mkdirSync, openSync, readdirSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";

import { HeadwaterError } from "../errors.js";

/** A claim that is held. */
export interface Claim {
  /** The open end, to be handed on. */
  readonly fd: number;
  /** Gives it up; a child that was handed it holds on. */
  release(): void;
}

/** Claims a directory, which is made if there is none. Fails with `STORAGE_UNAVAILABLE` if it is in use. */
export function claim(directory: string): Claim {
  const claims = join(directory, "claims");
  mkdirSync(claims, { recursive: true });
  const name = `${process.pid}-${randomBytes(6).toString("hex")}`;
  const mine = announce(claims, name);
  // Each announces first and looks at the others then: of two that begin at once, one at least sees the other.
  for (const other of readdirSync(claims)) {
    if (other === name || other.startsWith(".")) continue;
    if (!isLive(join(claims, other))) {
      rmSync(join(claims, other), { force: true });
      continue;
    }
    mine.release();
    throw new HeadwaterError(
      "STORAGE_UNAVAILABLE",
      `${directory} is in use: process ${other.split("-")[0]}, or the workerd that it started, still runs; stop that first`,
    );
  }
  return mine;
}

/** Makes a claim that is live from the moment that others can see it. */
function announce(claims: string, name: string): Claim {
  const [hidden, shown] = [join(claims, `.${name}`), join(claims, name)];
  try {
    execFileSync("mkfifo", ["-m", "600", hidden], { stdio: "pipe" });
    const fd = openSync(hidden, constants.O_RDONLY | constants.O_NONBLOCK);
    renameSync(hidden, shown);
    return {
      fd,
      release: () => {
        rmSync(shown, { force: true });
        closeSync(fd);
      },
    };
  } catch (cause) {
    throw new HeadwaterError(
      "STORAGE_UNAVAILABLE",
      `${claims} takes no named pipe, by which a directory is claimed: ${(cause as Error).message}`,
      { cause },
    );
  }
}

function isLive(path: string): boolean {
  try {
    closeSync(openSync(path, constants.O_WRONLY | constants.O_NONBLOCK));
    return true;
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    // Nobody reads, or its owner has just taken it away.
    if (code === "ENXIO" || code === "ENOENT") return false;
    // Whoever may not look must not conclude that nobody is there.
    return true;
  }
}
