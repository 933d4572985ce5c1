/** The JavaScript that wasm-bindgen writes to `pkg/`, as `raw.ts` uses it. */
declare module '*/pkg/openred.js' {
  type Binding = import('./binding.js').Binding

  export default function init(input: { module_or_path: WebAssembly.Module }): Promise<unknown>
  export const RawNode: Binding['RawNode']
  export const generateIdentity: Binding['generateIdentity']
  export const peerIdOf: Binding['peerIdOf']
  export const checkName: Binding['checkName']
  /** Calls back once, with the message of the panic. */
  export function onCrash(callback: (message: string) => void): void
}
