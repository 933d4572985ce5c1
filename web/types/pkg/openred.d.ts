/** The JavaScript that wasm-bindgen writes to `pkg/`, as `src/raw.ts` uses it. */

import type { Binding } from '../../src/binding.js'

export default function init(input: { module_or_path: WebAssembly.Module }): Promise<unknown>
export const RawNode: Binding['RawNode']
export const generateIdentity: Binding['generateIdentity']
/** Calls back once, with the message of the panic. */
export function onCrash(callback: (message: string) => void): void
