/** Waiting: every wait has a bound, says what it waited for, and wakes up on events wherever there are any. */

/** Thrown when a wait reaches its bound. */
export class TooLate extends Error {
  name = 'TooLate'
}

/**
 * Settles as `promise` does, or rejects with `TooLate` after `ms` milliseconds.
 *
 * @template T
 * @param {number} ms
 * @param {PromiseLike<T>} promise
 * @param {string} what what is awaited, for the message
 * @returns {Promise<T>}
 */
export async function within (ms, promise, what) {
  let timer
  const bound = new Promise((resolve, reject) => {
    timer = setTimeout(() => reject(new TooLate(`${what}: not within ${ms} ms`)), ms)
  })
  try {
    return await Promise.race([promise, bound])
  } finally {
    clearTimeout(timer)
  }
}

/**
 * Asks `probe` again until it gives a truthy value, and returns that value. For facts of another process that sends no
 * event; a probe that throws counts as "not yet".
 *
 * @template T
 * @param {() => T | Promise<T>} probe
 * @param {{ ms: number, what: string, every?: number }} options
 * @returns {Promise<T>}
 */
export async function eventually (probe, { ms, what, every = 50 }) {
  const start = performance.now()
  let last
  for (;;) {
    try {
      last = await within(Math.max(1, ms - (performance.now() - start)), Promise.resolve(probe()), what)
      if (last) return last
    } catch (error) {
      last = error
    }
    if (performance.now() - start >= ms) {
      throw new TooLate(`${what}: not within ${ms} ms (last answer: ${describe(last)})`)
    }
    await new Promise((resolve) => setTimeout(resolve, every))
  }
}

/** Runs `action` and returns `{ value, ms }`. */
export async function timed (action) {
  const start = performance.now()
  const value = await action()
  return { value, ms: performance.now() - start }
}

function describe (value) {
  if (value instanceof Error) return `${value.name}: ${value.message}`
  return JSON.stringify(value) ?? String(value)
}
