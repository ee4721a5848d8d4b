// Prints the trace hashes of the first seeds, as the simulator computes them in wasm: node trace_hash.mjs MODULE COUNT

import { readFile } from 'node:fs/promises'

const [, , file, count] = process.argv
const module = await WebAssembly.compile(await readFile(file))
// yrs brings imports for random client ids. The simulator passes its own ids, so nothing of that is ever called.
const imports = {}
for (const { module: from, name } of WebAssembly.Module.imports(module)) {
  imports[from] ??= {}
  imports[from][name] = () => {
    throw new Error(`the simulator asks its host for ${name}`)
  }
}
const { exports } = await WebAssembly.instantiate(module, imports)
for (let seed = 0n; seed < BigInt(count); seed++) {
  console.log(BigInt.asUintN(64, exports.trace_hash(seed)).toString(16).padStart(16, '0'))
}
