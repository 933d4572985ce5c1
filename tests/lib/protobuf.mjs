/** As much of protobuf as the wire contract needs: varints, length-delimited fields, and frames with a varint length. */

/** An unsigned varint. */
export function varint (value) {
  const bytes = []
  let rest = BigInt(value)
  do {
    const low = Number(rest & 0x7fn)
    rest >>= 7n
    bytes.push(rest === 0n ? low : low | 0x80)
  } while (rest !== 0n)
  return Uint8Array.from(bytes)
}

/** `[value, bytes read]` of the varint at `at`. */
export function readVarint (bytes, at = 0) {
  let value = 0n
  for (let i = at; i < bytes.length && i < at + 10; i++) {
    value |= BigInt(bytes[i] & 0x7f) << BigInt(7 * (i - at))
    if (bytes[i] < 0x80) return [Number(value), i - at + 1]
  }
  throw new Error('not a varint')
}

export function concat (...parts) {
  const whole = new Uint8Array(parts.reduce((length, part) => length + part.length, 0))
  let at = 0
  for (const part of parts) {
    whole.set(part, at)
    at += part.length
  }
  return whole
}

export const utf8 = (text) => new TextEncoder().encode(text)

/** A field of bytes, text or a message. */
export function field (tag, content) {
  const bytes = typeof content === 'string' ? utf8(content) : content
  return concat(varint((tag << 3) | 2), varint(bytes.length), bytes)
}

/** A field of a number; absent when it is zero, as proto3 has it. */
export function number (tag, value) {
  return BigInt(value) === 0n ? new Uint8Array() : concat(varint(tag << 3), varint(value))
}

/** Content behind its length. */
export function frame (bytes) {
  return concat(varint(bytes.length), bytes)
}

/** The fields of a message as `[tag, value]`; a value is a number or bytes. */
export function fields (bytes) {
  const found = []
  for (let at = 0; at < bytes.length;) {
    const [key, keyLength] = readVarint(bytes, at)
    const [value, valueLength] = readVarint(bytes, at + keyLength)
    at += keyLength + valueLength
    if ((key & 7) === 0) {
      found.push([key >> 3, value])
    } else if ((key & 7) === 2 && at + value <= bytes.length) {
      found.push([key >> 3, bytes.subarray(at, at + value)])
      at += value
    } else {
      throw new Error(`no field at ${at}`)
    }
  }
  return found
}

/** All values of the fields with `tag`. */
export function valuesOf (bytes, tag) {
  return fields(bytes).filter(([found]) => found === tag).map(([, value]) => value)
}
