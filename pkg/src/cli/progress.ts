/** One line that says how far something long has come, on a terminal only. */

const TELL_MS_MIN = 100;

/** Tells on standard error, so that what is written on standard output stays whole. */
export class Progress {
  readonly #isShown: boolean;
  #told = 0;
  #width = 0;

  /** Shows nothing unless somebody looks. */
  constructor(isQuiet: boolean) {
    this.#isShown = !isQuiet && process.stderr.isTTY === true;
  }

  /** How far it is. */
  tell(said: string): void {
    if (!this.#isShown || Date.now() - this.#told < TELL_MS_MIN) return;
    this.#told = Date.now();
    process.stderr.write(`\r${said.padEnd(this.#width)}`);
    this.#width = said.length;
  }

  /** Makes room for what is said at the end. */
  end(): void {
    if (this.#width > 0) process.stderr.write(`\r${" ".repeat(this.#width)}\r`);
    this.#width = 0;
  }
}

/** Bytes for people. */
export function sizeOf(bytes: number): string {
  if (bytes < 1024) return `${bytes} B`;
  const steps = Math.min(Math.floor(Math.log2(bytes) / 10), 4);
  return `${(bytes / 1024 ** steps).toFixed(1)} ${["KiB", "MiB", "GiB", "TiB"][steps - 1]}`;
}
