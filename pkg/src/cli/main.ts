/** `headwater`: picks the command, and says how it ended. */

import { HeadwaterError } from "../errors.js";
import { type Command, help, parse } from "./command.js";

/** Runs the command that the arguments name; answers the exit code of the process. */
export async function main(commands: readonly Command[], [name, ...args]: readonly string[]): Promise<number> {
  if (name === undefined || name === "--help" || name === "-h" || name === "help") {
    process.stdout.write(overview(commands));
    return 0;
  }
  try {
    const command = commands.find((command) => command.name === name);
    if (command === undefined) {
      throw new HeadwaterError("MALFORMED", `there is no command ${name}; see \`headwater --help\``);
    }
    const given = parse(command, args);
    if (given !== undefined) return await command.run(given);
    process.stdout.write(help(command));
    return 0;
  } catch (error) {
    if (!isOurs(error)) throw error;
    process.stderr.write(`headwater: ${error.code}: ${error.message}\n`);
    return error.code === "MALFORMED" ? 2 : 1;
  }
}

function overview(commands: readonly Command[]): string {
  const width = Math.max(...commands.map(({ name }) => name.length));
  const lines = commands.map(({ name, summary }) => `  ${name.padEnd(width)}  ${summary}`);
  return `Runs Headwater nodes and asks them.

Usage: headwater COMMAND [OPTIONS]

Commands:
${lines.join("\n")}

\`headwater COMMAND --help\` says more about one of them. Errors begin with their code; the exit code is 2 where the command
line cannot be meant, and 1 otherwise.
`;
}

/** The package's other bundles bring a class of the same name. */
function isOurs(error: unknown): error is HeadwaterError {
  return error instanceof Error && error.name === "HeadwaterError";
}
