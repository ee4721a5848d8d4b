/** What only members and operators may ask. Nothing of a request is read before it is known who asks. */

import { HeadwaterError } from "../../errors.js";
import { bodyOf } from "../body.js";
import { failure, json, respond } from "../http.js";
import type { PrivateTarget } from "../path.js";
import { refuseStranger } from "../secret.js";
import { parseCommand } from "./command.js";
import type { Deployment } from "./deployment.js";
import { type NodeStub, type ObjectAt, valueOf } from "./objects.js";
import { CALL_BYTES_MAX, PASSED_ON_HEADER } from "./peers.js";

/** The longest body of a command. */
const COMMAND_BYTES_MAX = 4096;

/** Answers a request. */
export async function answerPrivately(
  target: PrivateTarget,
  named: string | null,
  request: Request,
  { secret }: Deployment,
  objectAt: ObjectAt,
): Promise<Response> {
  const refusal = await refuseStranger(request.headers, secret);
  if (refusal !== undefined) return refusal;
  try {
    if (target.kind !== "admin") return await call(target, request, objectAt(named));
    return await administer(target, named, request, objectAt);
  } catch (error) {
    if (!(error instanceof HeadwaterError)) console.error("headwater:", error);
    return failure(error);
  }
}

async function call({ kind, database }: PrivateTarget, request: Request, object: NodeStub): Promise<Response> {
  const bytes = await bodyOf(request, CALL_BYTES_MAX, "the call", "TOO_LARGE");
  const answer = valueOf(await (kind === "group" ? object.called(database, bytes) : object.calledForFiles(database, bytes)));
  return respond(answer as Uint8Array<ArrayBuffer>, 200, { "content-type": "application/octet-stream" });
}

async function administer(
  target: PrivateTarget & { kind: "admin" },
  named: string | null,
  request: Request,
  objectAt: ObjectAt,
): Promise<Response> {
  const bytes = await bodyOf(request, COMMAND_BYTES_MAX, "the command", "TOO_LARGE");
  const command = parseCommand(target.command, new TextDecoder().decode(bytes), new URL(request.url).searchParams);
  const member = command.name === "promote" ? command.member : undefined;
  const isPassedOn = request.headers.has(PASSED_ON_HEADER);
  return json(valueOf(await objectAt(named ?? member ?? null).administer(target.database, command, isPassedOn)));
}
