/** What drills load a database with. No part of the public API: the command `drill` and the project's tests share it. */

export * from "../load/ledger.js";
export * from "../load/writer.js";
