/**
 * Hints while somebody types a name. The judge is the node, which knows the rules of the network; this only says early
 * what it would say.
 */

const MAX_BYTES = 128

/** What is wrong with a name, or undefined when nothing is. */
export function nameHint(name: string): string | undefined {
  if (name === '') return 'A name has at least one character.'
  if (/\s/u.test(name)) return 'A name has no white space. Try a dash.'
  const odd = /[@/?#]/.exec(name)?.[0]
  if (odd) return `A name has none of @ / ? #. Leave out the ${odd}.`
  if (/\p{Cc}/u.test(name)) return 'A name has no control characters.'
  if (name.toLowerCase() !== name) return `A name is lower case: ${name.toLowerCase()}`
  if (name.normalize('NFC') !== name) return 'A name is written in composed characters (NFC).'
  const bytes = new TextEncoder().encode(name).length
  if (bytes > MAX_BYTES) return `A name has at most ${MAX_BYTES} bytes; this one has ${bytes}.`
  return undefined
}

/** As `nameHint`, for a field that also takes `name@peer id`. */
export function targetHint(target: string): string | undefined {
  const at = target.indexOf('@')
  if (at < 0) return nameHint(target)
  if (!/^[1-9A-HJ-NP-Za-km-z]{20,}$/.test(target.slice(at + 1))) return 'After the name and @ comes a whole peer id.'
  return nameHint(target.slice(0, at))
}
