#!/usr/bin/env node
/** The program `headwater`. */

import { drill } from "../cli/drill.js";
import { exportCommand } from "../cli/export.js";
import { history } from "../cli/history.js";
import { importCommand } from "../cli/import.js";
import { lag } from "../cli/lag.js";
import { main } from "../cli/main.js";
import { promote } from "../cli/promote.js";
import { restore } from "../cli/restore.js";
import { serve } from "../cli/serve.js";
import { status } from "../cli/status.js";
import { switchover } from "../cli/switchover.js";
import { top } from "../cli/top.js";
import { topology } from "../cli/topology.js";

// The bundles beside this one. Only a drill needs them.
const loadPackage = async () => ({ ...(await import("./node.js")), load: await import("./load.js") });

const group = [switchover, promote, topology, drill(loadPackage)];
const commands = [serve, status, lag, top, ...group, exportCommand, importCommand, history, restore];

process.exitCode = await main(commands, process.argv.slice(2));
