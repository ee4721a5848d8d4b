/** In workers a `.wasm` is imported as what it is: a compiled module. */
declare module "*.wasm" {
  const module: WebAssembly.Module;
  export default module;
}
