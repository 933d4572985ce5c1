/**
 * An OpenAPI 3.1 document as a source of requests and a judge of answers: values that fit its schemas come from fast-check,
 * what fits is decided by Ajv.
 */
import Ajv2020 from 'ajv/dist/2020.js'
import fc from 'fast-check'

/** Values beneath one another that are generated; what lies deeper is left out. */
const DEPTH = 6

/** Text that fits a string's schema, mostly what people would write. */
const TEXT = fc.oneof(
  { weight: 3, arbitrary: fc.constantFrom('', 'chess', 'eu', 'a b', '\u00e9t\u00e9', '0') },
  { weight: 1, arbitrary: fc.string({ unit: 'grapheme', maxLength: 40 }) }
)

/**
 * @typedef {object} Operation
 * @property {string} id
 * @property {string} method in upper case
 * @property {string} path with `{variables}`
 * @property {string[]} schemes of authentication, of which one is needed
 * @property {object[]} parameters
 * @property {object | undefined} body the schema of its JSON body
 * @property {object} responses by status
 */

export class Document {
  #validators = new Map()

  /** @param {object} document as it was served */
  constructor (document) {
    this.document = document
    this.ajv = new Ajv2020({ strict: false, validateFormats: false, allErrors: true })
    this.ajv.addSchema(document, 'openapi')
  }

  /** @returns {Operation[]} all operations: first those that read, last those that remove */
  get operations () {
    const order = ['GET', 'POST', 'PUT', 'DELETE']
    const all = Object.entries(this.document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, it]) => ({
      id: it.operationId,
      method: method.toUpperCase(),
      path,
      schemes: (it.security ?? []).flatMap(Object.keys),
      parameters: it.parameters ?? [],
      body: it.requestBody?.content?.['application/json']?.schema,
      responses: it.responses
    })))
    return all.sort((a, b) => order.indexOf(a.method) - order.indexOf(b.method))
  }

  /** What a `$ref` stands for. */
  resolve (thing) {
    if (thing?.$ref === undefined) return thing
    const path = thing.$ref.replace(/^#\//, '').split('/').map((part) => part.replaceAll('~1', '/').replaceAll('~0', '~'))
    return this.resolve(path.reduce((inside, part) => inside[part], this.document))
  }

  /**
   * Values that fit a schema. Names have a meaning that no schema tells: for members that are called like one of `truths`, the
   * values given there are tried as well, since random text is never a signed record.
   *
   * @param {Record<string, unknown[]>} truths
   */
  values (schema, truths, name = '', depth = 0) {
    const given = this.resolve(schema)
    const fitting = this.#fitting(given, truths, name, depth)
    const known = isWhole(given) ? truths[name] ?? [] : []
    return known.length === 0 ? fitting : fc.oneof({ weight: 4, arbitrary: fc.constantFrom(...known) }, { weight: 1, arbitrary: fitting })
  }

  #fitting (schema, truths, name, depth) {
    const inside = (one, called = name) => this.values(one, truths, called, depth + 1)
    const choice = schema.oneOf ?? schema.anyOf
    if (choice !== undefined) return fc.oneof(...choice.map((one) => inside(one)))
    if (schema.enum !== undefined) return fc.constantFrom(...schema.enum)
    if (Array.isArray(schema.type)) return fc.oneof(...schema.type.map((type) => inside({ ...schema, type })))
    switch (schema.type) {
      case 'null': return fc.constant(null)
      case 'boolean': return fc.boolean()
      case 'integer': return fc.oneof(
        fc.integer({ min: schema.minimum ?? 0, max: schema.maximum ?? 2 ** 31 - 1 }),
        fc.constantFrom(schema.minimum ?? 0, schema.maximum ?? Number.MAX_SAFE_INTEGER)
      )
      case 'number': return fc.double({ noNaN: true, noDefaultInfinity: true })
      case 'array': return depth > DEPTH ? fc.constant([]) : fc.array(inside(schema.items), { maxLength: Math.min(schema.maxItems ?? 3, 3) })
      case 'object': {
        if (depth > DEPTH) return fc.constant({})
        const members = Object.entries(schema.properties ?? {}).map(([member, one]) => [member, inside(one, member)])
        if (members.length === 0 && typeof schema.additionalProperties === 'object') {
          return fc.dictionary(TEXT, inside(schema.additionalProperties), { maxKeys: 3, noNullPrototype: true })
        }
        return fc.record(Object.fromEntries(members), { requiredKeys: schema.required ?? [], noNullPrototype: true })
      }
      case 'string': return TEXT.map((text) => text.padEnd(schema.minLength ?? 0, 'x').slice(0, schema.maxLength))
      default: return fc.jsonValue({ maxDepth: 2 })
    }
  }

  /**
   * The one value that is sure to be taken: of what is known the first, of what is optional nothing.
   *
   * @param {Record<string, unknown[]>} truths
   */
  plain (schema, truths, name = '') {
    const given = this.resolve(schema)
    if (isWhole(given) && truths[name]?.length > 0) return truths[name][0]
    switch (given.type) {
      case 'object': return Object.fromEntries((given.required ?? []).map((member) => [member, this.plain(given.properties[member], truths, member)]))
      case 'array': return [this.plain(given.items, truths, name)]
      case 'integer': return given.minimum ?? 0
      case 'boolean': return false
      default: return given.example ?? 'x'
    }
  }

  /**
   * What is wrong with an answer to `operation`, by the document alone; nothing if it fits.
   *
   * @param {Operation} operation
   * @param {{ status: number, type: string, body: Buffer }} answer
   */
  misfit (operation, { status, type, body }) {
    const responses = operation.responses
    const key = responses[status] === undefined && status >= 400 ? 'default' : String(status)
    const response = this.resolve(responses[key])
    if (response === undefined) return `status ${status} is not in the document`
    // A documented failure says why; that its body is a problem document stands under `default`.
    const content = response.content ?? (status >= 400 ? this.resolve(responses.default)?.content : undefined)
    if (content === undefined) return body.length === 0 ? undefined : `a body of ${body.length} bytes, where the document has none`
    const media = Object.keys(content).find((one) => one === type || one === '*/*')
    if (media === undefined) return `content-type ${type}, where the document has ${Object.keys(content)}`
    const schema = content[media].schema
    if (schema === undefined) return undefined
    const texts = media === 'application/x-ndjson' ? body.toString().split('\n').filter((line) => line !== '') : [body.toString()]
    if (media !== 'application/x-ndjson' && !media.endsWith('json')) return undefined
    return texts.map((text) => this.#wrong(schema, text)).find((wrong) => wrong !== undefined)
  }

  #wrong (schema, text) {
    let value
    try {
      value = JSON.parse(text)
    } catch (error) {
      return `${error.message} in ${text.slice(0, 200)}`
    }
    const validate = this.#validator(schema)
    return validate(value) ? undefined : `${this.ajv.errorsText(validate.errors)} in ${text.slice(0, 400)}`
  }

  #validator (schema) {
    const text = JSON.stringify(schema)
    const known = this.#validators.get(text)
    if (known !== undefined) return known
    // References in it are those of the document.
    const validate = this.ajv.compile(JSON.parse(text, (key, value) => key === '$ref' ? value.replace(/^#/, 'openapi#') : value))
    this.#validators.set(text, validate)
    return validate
  }
}

/** Whether a value of this schema has nothing inside. */
function isWhole (schema) {
  return !['array', 'object'].includes(schema.type)
}
