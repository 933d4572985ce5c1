/** Small tools for building the page. Text always goes in as text: nothing from the network is ever markup. */

type Child = Node | string | false | undefined

type Attributes = { [name: string]: string | boolean | ((event: Event) => void) | undefined }

/** Makes an element: attributes by name, listeners as `onclick` and the like, then its children. */
export function h<K extends keyof HTMLElementTagNameMap>(tag: K, attributes: Attributes = {}, ...children: Child[]): HTMLElementTagNameMap[K] {
  const element = document.createElement(tag)
  for (const [name, value] of Object.entries(attributes)) {
    if (typeof value === 'function') element.addEventListener(name.slice(2), value)
    else if (value === true) element.setAttribute(name, '')
    else if (typeof value === 'string') element.setAttribute(name, value)
  }
  element.append(...children.filter((child) => child !== false && child !== undefined))
  return element
}

/** The element of `index.html` with this id. */
export function byId<E extends HTMLElement = HTMLElement>(id: string): E {
  const element = document.getElementById(id)
  if (!element) throw new Error(`index.html has no #${id}`)
  return element as E
}

/** A button that copies a text and says so. */
export function copyButton(label: string, text: () => string): HTMLButtonElement {
  const button = h('button', { type: 'button', class: 'quiet' }, label)
  let timer: number | undefined
  button.addEventListener('click', async () => {
    button.textContent = (await copied(text())) ? 'Copied' : 'Not allowed to copy'
    clearTimeout(timer)
    timer = window.setTimeout(() => (button.textContent = label), 1_500)
  })
  return button
}

async function copied(text: string): Promise<boolean> {
  try {
    await navigator.clipboard.writeText(text)
    return true
  } catch {
    return copiedBySelection(text)
  }
}

/** Pages that are not secure contexts have no clipboard. */
function copiedBySelection(text: string): boolean {
  const field = h('textarea', { class: 'offscreen', readonly: true })
  field.value = text
  document.body.append(field)
  field.select()
  const done = document.execCommand('copy')
  field.remove()
  return done
}
