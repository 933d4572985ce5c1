/// <reference lib="esnext.disposable" preserve="true" />

/** `Symbol.asyncDispose`, or where the platform lacks it the symbol that compilers agree on. No global is changed. */
export const asyncDispose: typeof Symbol.asyncDispose =
  Symbol.asyncDispose ?? (Symbol.for('Symbol.asyncDispose') as typeof Symbol.asyncDispose)
