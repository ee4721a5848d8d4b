/** What a command is: its words, its options, its help. It knows no command. */

import { parseArgs } from "node:util";

import { malformed } from "../errors.js";

/** One option, as `--name VALUE`, or `--name` alone where it has no `value`. */
export interface Option {
  readonly value?: string;
  readonly help: string;
}

/** A command, as `headwater NAME OPERANDS [OPTIONS]`. */
export interface Command {
  readonly name: string;
  /** Names of what has to follow, in order. */
  readonly operands: readonly string[];
  readonly summary: string;
  /** What its help says after the options. */
  readonly more?: string;
  readonly options: Readonly<Record<string, Option>>;
  /** Runs to the end; answers the exit code of the process. */
  run(given: Given): Promise<number>;
}

/** What was given to a command. */
export class Given {
  readonly #operands: readonly string[];
  readonly #options: Readonly<Record<string, string | boolean | undefined>>;

  /** Made by {@link parse}. */
  constructor(operands: readonly string[], options: Readonly<Record<string, string | boolean | undefined>>) {
    this.#operands = operands;
    this.#options = options;
  }

  /** An operand, from 0 on. Its command has it: they were counted. */
  operand(at: number): string {
    return this.#operands[at] as string;
  }

  /** Whether an option without a value was given. */
  has(name: string): boolean {
    return this.#options[name] !== undefined;
  }

  /** The value of an option. */
  text(name: string): string | undefined {
    return this.#options[name] as string | undefined;
  }

  /** The value of an option that has to be there. */
  needed(name: string, what: string): string {
    const text = this.text(name);
    if (text === undefined || text === "") throw malformed(`--${name} is missing: ${what}`);
    return text;
  }

  /** The value of an option as a whole number within limits. */
  count(name: string, fallback: number, max: number): number {
    const text = this.text(name);
    if (text === undefined) return fallback;
    const count = /^\d+$/.test(text) ? Number(text) : Number.NaN;
    if (count >= 1 && count <= max) return count;
    throw malformed(`--${name} is ${JSON.stringify(text)}; it is a whole number from 1 to ${max}`);
  }
}

/** Reads a command's arguments; `undefined` if its help was asked for. */
export function parse(command: Command, args: readonly string[]): Given | undefined {
  const options = Object.fromEntries(
    Object.entries(command.options).map(([name, { value }]) => [
      name,
      { type: value === undefined ? ("boolean" as const) : ("string" as const) },
    ]),
  );
  const { values, positionals } = read(args, options);
  if (values["help"] === true) return undefined;
  if (positionals.length !== command.operands.length) {
    throw malformed(`usage: ${usage(command)}`);
  }
  return new Given(positionals, values);
}

/** How a command is written. */
export function usage({ name, operands, options }: Command): string {
  return ["headwater", name, ...operands, ...(Object.keys(options).length > 0 ? ["[OPTIONS]"] : [])].join(" ");
}

/** What `--help` prints. */
export function help(command: Command): string {
  const options = Object.entries(command.options).map(
    ([name, { value, help }]) => [value === undefined ? `--${name}` : `--${name} ${value}`, help] as const,
  );
  const width = Math.max(...options.map(([option]) => option.length), 0);
  const lines = options.map(([option, help]) => `  ${option.padEnd(width)}  ${help}`);
  const sections = [
    `${command.summary}\n\nUsage: ${usage(command)}`,
    ...(lines.length > 0 ? [`Options:\n${lines.join("\n")}`] : []),
    ...(command.more === undefined ? [] : [command.more]),
  ];
  return `${sections.join("\n\n")}\n`;
}

function read(args: readonly string[], options: Record<string, { type: "string" | "boolean" }>) {
  try {
    return parseArgs({
      args: [...args],
      options: { ...options, help: { type: "boolean", short: "h" } },
      allowPositionals: true,
    });
  } catch (error) {
    // Node.js tells what it does not know, and how to write what only looks like an option.
    throw malformed(error instanceof Error ? error.message : String(error));
  }
}
