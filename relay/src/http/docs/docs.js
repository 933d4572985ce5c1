/** Shows openapi.json for people, and sends requests to this relay. Text from the document only ever becomes text. */

const METHODS = ['get', 'post', 'put', 'patch', 'delete']
/** Nesting of schemas that is shown; deeper ones are named only. */
const DEPTH = 4
/** Characters of an answer that are shown. */
const SHOWN = 20_000

const document_ = await (await fetch('../openapi.json')).json()
const byId = (id) => document.getElementById(id)

/** An element with attributes and children; strings become text nodes. */
function el (name, attributes = {}, ...children) {
  const element = document.createElement(name)
  for (const [key, value] of Object.entries(attributes)) {
    if (key.startsWith('on')) element.addEventListener(key.slice(2), value)
    else if (value !== undefined) element.setAttribute(key, value)
  }
  element.append(...children.filter((child) => child !== undefined))
  return element
}

function resolve (object) {
  if (object?.$ref === undefined) return object ?? {}
  return object.$ref.split('/').slice(1).reduce((at, key) => at?.[key.replaceAll('~1', '/')], document_) ?? {}
}

/** A schema in one short text. */
function typeOf (schema, depth = 0) {
  const name = schema?.$ref?.split('/').pop()
  if (name !== undefined && depth >= DEPTH) return name
  const { type, items, properties, enum: values, oneOf, anyOf, allOf, additionalProperties } = resolve(schema)
  if (values !== undefined) return values.map((value) => JSON.stringify(value)).join(' | ')
  const several = oneOf ?? anyOf ?? allOf
  if (several !== undefined) return several.map((one) => typeOf(one, depth + 1)).join(allOf ? ' & ' : ' | ')
  if (items !== undefined) return `${typeOf(items, depth + 1)}[]`
  if (properties === undefined && typeof additionalProperties === 'object') return `{ [name]: ${typeOf(additionalProperties, depth + 1)} }`
  if (properties !== undefined) return name ?? 'object'
  return Array.isArray(type) ? type.join(' | ') : type ?? 'any'
}

function fields (schema) {
  const { properties, required = [] } = resolve(resolve(schema).items ?? schema)
  if (properties === undefined) return undefined
  const rows = Object.entries(properties).map(([name, property]) => el('tr', {},
    el('td', {}, el('code', {}, name), required.includes(name) ? '' : ' (may be missing)'),
    el('td', {}, el('code', {}, typeOf(property))),
    el('td', {}, property.description ?? resolve(property).description ?? '')))
  return el('table', {}, ...rows)
}

function content (label, part) {
  const resolved = resolve(part)
  const kinds = Object.entries(resolved.content ?? {})
  return el('div', {},
    el('p', {}, el('strong', {}, label), ' ', resolved.description ?? '', kinds.length > 0 ? ` (${kinds.map(([kind]) => kind).join(', ')})` : ''),
    kinds[0] === undefined ? undefined : fields(kinds[0][1].schema))
}

/** An example value of a schema, to begin a body with. */
function example (schema, depth = 0) {
  const resolved = resolve(schema)
  const given = resolved.example ?? resolved.examples?.[0] ?? schema?.example
  if (given !== undefined) return given
  if (depth > DEPTH) return null
  if (resolved.properties !== undefined) {
    return Object.fromEntries(Object.entries(resolved.properties).map(([key, value]) => [key, example(value, depth + 1)]))
  }
  if (resolved.items !== undefined) return [example(resolved.items, depth + 1)]
  const type = [resolved.type].flat()[0]
  return { string: '', integer: 0, number: 0, boolean: false, object: {} }[type] ?? null
}

/** Whether all that is needed is there; beside each field that is empty stands what is missing, and the first one is given the focus. */
function complete (inputs) {
  for (const [parameter, input, missing] of inputs) {
    const isMissing = parameter.required === true && input.value === ''
    missing.textContent = isMissing ? `Give ${parameter.name}: the request needs it.` : ''
    input.setAttribute('aria-invalid', String(isMissing))
  }
  const first = inputs.find(([, input]) => input.getAttribute('aria-invalid') === 'true')
  first?.[1].focus()
  return first === undefined
}

function trial (method, path, operation) {
  const parameters = (operation.parameters ?? []).map(resolve)
  const inputs = parameters.map((parameter) => {
    const example = parameter.in === 'path' ? parameter.example ?? parameter.schema?.example ?? '' : ''
    return [parameter, el('input', { type: 'text', value: example }), el('small', { role: 'alert' })]
  })
  const schema = Object.values(resolve(operation.requestBody).content ?? {})[0]?.schema
  const body = schema === undefined ? undefined : el('textarea', { spellcheck: 'false' }, JSON.stringify(example(schema), null, 2))
  const output = el('pre', { hidden: '' })
  const send = async (event) => {
    event.preventDefault()
    if (!complete(inputs)) return
    const query = new URLSearchParams()
    let target = path
    const headers = {}
    for (const [parameter, input] of inputs) {
      if (parameter.in === 'path') target = target.replace(`{${parameter.name}}`, encodeURIComponent(input.value))
      else if (input.value !== '' && parameter.in === 'query') query.set(parameter.name, input.value)
      else if (input.value !== '' && parameter.in === 'header') headers[parameter.name] = input.value
    }
    const authorization = byId('authorization').value.trim()
    if (authorization !== '') headers.authorization = authorization
    if (body !== undefined) headers['content-type'] = 'application/json'
    output.hidden = false
    output.textContent = '…'
    try {
      const url = `..${target}${query.size > 0 ? `?${query}` : ''}`
      const response = await fetch(url, { method: method.toUpperCase(), headers, body: body?.value })
      let text = await response.text()
      try { text = JSON.stringify(JSON.parse(text), null, 2) } catch { /* not JSON: shown as it is */ }
      output.textContent = `${response.status} ${response.statusText}\n\n${text.slice(0, SHOWN)}`
    } catch (error) {
      output.textContent = String(error)
    }
  }
  return el('form', { onsubmit: send },
    ...inputs.map(([parameter, input, missing]) => el('label', {}, el('code', {}, parameter.name), input, missing,
      el('small', {}, `${parameter.in}${parameter.required ? ', needed' : ''}. ${parameter.description ?? ''}`))),
    body === undefined ? undefined : el('label', {}, 'Body', body),
    el('button', { type: 'submit' }, 'Send'), output)
}

function show ([method, path, operation]) {
  const details = el('details', {},
    el('summary', {}, el('span', { class: 'method' }, method.toUpperCase()), el('code', {}, path), el('span', {}, operation.summary ?? '')))
  details.addEventListener('toggle', () => {
    if (!details.open || details.childElementCount > 1) return
    details.append(el('div', { class: 'body' },
      operation.description === undefined ? undefined : el('p', {}, operation.description),
      operation.security?.length > 0 ? el('p', {}, `Needs ${operation.security.flatMap(Object.keys).join(' or ')}.`) : undefined,
      operation.requestBody === undefined ? undefined : content('Body', operation.requestBody),
      ...Object.entries(operation.responses ?? {}).map(([status, response]) => content(status, response)),
      trial(method, path, operation)))
  })
  return details
}

function render () {
  const wanted = byId('filter').value.trim().toLowerCase()
  const operations = Object.entries(document_.paths).flatMap(([path, item]) =>
    METHODS.filter((method) => item[method] !== undefined).map((method) => [method, path, item[method]]))
  const matching = operations.filter(([method, path, operation]) =>
    `${method} ${path} ${operation.summary ?? ''}`.toLowerCase().includes(wanted))
  const groups = (document_.tags ?? []).map((tag) => [tag, matching.filter(([, , operation]) => operation.tags?.includes(tag.name))])
  byId('operations').replaceChildren(...groups.filter(([, members]) => members.length > 0).map(([tag, members]) =>
    el('section', {}, el('h2', {}, tag.name), el('p', {}, tag.description ?? ''), ...members.map(show))))
}

byId('about').textContent = `${document_.info.description} Version ${document_.info.version}.`
byId('filter').addEventListener('input', render)
render()
