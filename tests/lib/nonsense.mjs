/** What strangers send to an API: text that means something elsewhere, values of the wrong kind, bodies and headers that are none. */
import fc from 'fast-check'

/** Stands at the beginning of a line of log only if somebody could write one. */
export const FORGED = 'FORGED'

/** Text that a database, a log, a shell, a terminal or a path would take for its own. */
export const EVIL_TEXT = [
  '', ' ', '\'; DROP TABLE nodes; --', '" OR ""="', 'x\' UNION ALL VALUES (1)--', '*', 'a* NEAR b', '%', '_', '\\', '%s%n', '-1', 'NaN', '1e999', 'null',
  '\u0000', `a\r\n${FORGED} line`, `\u001b[2K\r${FORGED}`, `${FORGED}\u2028${FORGED}`, '../../etc/passwd', '..%2f..%2fetc', '${jndi:ldap://x}', '{{7*7}}', '<script>alert(1)</script>',
  '\u202e\u2066', '\ud800', '\u{1f4a5}'.repeat(100), 'x'.repeat(5_000), '__proto__', 'e\u0301', '\ufeffchess', '12D3KooW', '0'.repeat(400)
]

/** Values that fit few schemas. */
const EVIL_VALUES = [null, true, -1, 0.5, 2 ** 53, 1e300, [], {}, [[]], { $ref: '#' }, Array.from({ length: 2_000 }, () => 0), ...EVIL_TEXT]

/** A change to a JSON value: something in it is replaced, left out, added or repeated. */
export const BEND = fc.record({
  place: fc.nat({ max: 50 }),
  way: fc.constantFrom('replace', 'replace', 'replace', 'remove', 'add', 'repeat', 'wrap'),
  value: fc.constantFrom(...EVIL_VALUES)
})

/** Applies a `BEND`. */
export function bend (whole, { place, way, value }) {
  const copy = structuredClone({ whole })
  const places = placesIn(copy)
  const [holder, key] = places[place % places.length]
  if (way === 'replace') holder[key] = value
  if (way === 'remove') delete holder[key]
  if (way === 'add') (typeof holder[key] === 'object' && holder[key] !== null ? holder[key] : holder)[String(value)] = value
  if (way === 'repeat') holder[key] = Array.from({ length: 300 }, () => holder[key])
  if (way === 'wrap') holder[key] = [holder[key]]
  return copy.whole
}

function placesIn (holder) {
  return Object.keys(holder).flatMap((key) => [
    [holder, key],
    ...(typeof holder[key] === 'object' && holder[key] !== null ? placesIn(holder[key]) : [])
  ])
}

const JSON_TYPE = 'application/json'

/** Bodies that are no JSON, too much of it, or said to be something else: `{ type, bytes, headers }`. */
export const RAW_BODIES = [
  [JSON_TYPE, ''], [JSON_TYPE, '{'], [JSON_TYPE, '{}{}'], [JSON_TYPE, '{"a":1,"a":2}'], [JSON_TYPE, '\ufeff{}'], [JSON_TYPE, '{"a":1e999}'], [JSON_TYPE, '{"at":-0.0}'],
  [JSON_TYPE, '{"token":"\\ud800"}'], [JSON_TYPE, '['.repeat(10_000) + ']'.repeat(10_000)], [JSON_TYPE, '{"a":'.repeat(1_000) + '1' + '}'.repeat(1_000)],
  [JSON_TYPE, Buffer.from([0x7b, 0x22, 0xff, 0xfe, 0x22, 0x3a, 0x31, 0x7d])], [JSON_TYPE, Buffer.from('{}', 'utf16le')], [JSON_TYPE, Buffer.alloc(1_000)],
  [JSON_TYPE, `{"token":"${'x'.repeat(300 * 1024)}"}`], [JSON_TYPE, `{${' '.repeat(200 * 1024)}}`],
  ['application/json; charset=utf-16', '{}'], ['application/json;;;', '{}'], ['APPLICATION/JSON', '{}'], ['text/plain', '{}'], ['', '{}'], ['application/xml', '<a/>'],
  ['multipart/form-data; boundary=x', '--x--'], ['application/x-www-form-urlencoded', 'a=1'],
  [JSON_TYPE, Buffer.from([0x1f, 0x8b, 8, 0]), { 'content-encoding': 'gzip' }], [JSON_TYPE, '{}', { 'content-encoding': 'br, gzip' }]
].map(([type, content, headers = {}]) => ({ type, bytes: Buffer.from(content), headers }))

/** Headers beside the usual: each is a list of names and values. */
export const EVIL_HEADERS = [
  ['accept', '*/*;q=NaN'], ['accept', 'application/x-ndjson'], ['accept-encoding', 'gzip;q=bad, *;q=0'], ['if-none-match', '*'], ['if-none-match', `W/"${'x'.repeat(1_000)}`],
  ['if-modified-since', 'yesterday'], ['range', 'bytes=0-0, 5-1'], ['origin', 'null'], ['x-forwarded-for', '1.2.3.4, \'; DROP TABLE nodes; --'], ['forwarded', 'for="[::bad"'],
  ['traceparent', '00-zz-zz-01'], ['last-event-id', '99999999999999999999'], ['cookie', 'x'.repeat(6_000)], ['host', 'elsewhere.example'], ['x-http-method-override', 'DELETE'],
  ['authorization', 'Basic YTpi', 'authorization', 'Bearer x'], Array.from({ length: 60 }, (_, number) => [`x-flood-${number}`, 'y'.repeat(50)]).flat(),
  ['user-agent', `\u00ff${FORGED}`], ['accept-language', '-,;=']
]

/** Queries that are none. */
export const RAW_QUERIES = ['limit=%FF', 'limit=1&limit=2', '=&=&&', 'a=%', 'limit[]=1', `text=${'x'.repeat(8_000)}`, 'cursor=%00', '%F0%28%8C%28=1', 'limit=1#x']
