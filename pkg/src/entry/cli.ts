#!/usr/bin/env node
/** The program `headwater`. */

import { drill } from "../cli/drill.js";
import { lag } from "../cli/lag.js";
import { main } from "../cli/main.js";
import { promote } from "../cli/promote.js";
import { serve } from "../cli/serve.js";
import { status } from "../cli/status.js";
import { switchover } from "../cli/switchover.js";
import { top } from "../cli/top.js";
import { topology } from "../cli/topology.js";

// The bundles beside this one. Only a drill needs them.
const loadPackage = async () => ({ ...(await import("./node.js")), load: await import("./load.js") });

const commands = [serve, status, lag, top, switchover, promote, topology, drill(loadPackage)];

process.exitCode = await main(commands, process.argv.slice(2));
