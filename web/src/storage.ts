/**
 * Values kept in IndexedDB: one under a key, in the one store of a database.
 *
 * A value is kept when its transaction has completed: what exceeds the quota fails only then. Every call opens and closes
 * the database, and closes it at once if another tab wants to upgrade it, so that no tab holds up another's.
 */

/** Where a value is: the database, its store, and the key. */
export interface Place {
  readonly database: string
  readonly store: string
  readonly key: string
}

/** Keeps a value, under the key of the place or another one of the same store. */
export type Put = (value: unknown, key?: string) => void

/** What is kept there; `undefined` if nothing is. */
export function read(factory: IDBFactory, place: Place): Promise<unknown> {
  return inDatabase(factory, place, (database) => succeeded(database.transaction(place.store).objectStore(place.store).get(place.key)))
}

/** Keeps a value there, in the place of what was kept before. */
export function write(factory: IDBFactory, place: Place, value: Uint8Array): Promise<void> {
  return change(factory, place, (_, put) => put(value))
}

/** Looks at what is kept there and puts something else, with nobody else in between. */
export function change<T>(factory: IDBFactory, place: Place, step: (kept: unknown, put: Put) => T): Promise<T> {
  return inDatabase(factory, place, async (database) => {
    const transaction = database.transaction(place.store, 'readwrite')
    const completed = new Promise<void>((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
    })
    // Where reading fails it is that which is told.
    completed.catch(() => {})
    const store = transaction.objectStore(place.store)
    const reading = store.get(place.key)
    const result = await new Promise<T>((resolve, reject) => {
      reading.onerror = () => reject(reading.error)
      // What is put is put within this turn: later the transaction would be over.
      reading.onsuccess = () => resolve(step(reading.result, (value, key = place.key) => void store.put(value, key)))
    })
    await completed
    return result
  })
}

/** Rejects if storage does not answer in time: another tab may hold it up. */
export function within<T>(ms: number, answer: Promise<T>): Promise<T> {
  let timer: ReturnType<typeof setTimeout>
  const late = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`storage did not answer within ${ms} ms`)), ms)
  })
  return Promise.race([answer, late]).finally(() => clearTimeout(timer))
}

async function inDatabase<T>(factory: IDBFactory, place: Place, use: (database: IDBDatabase) => Promise<T>): Promise<T> {
  const opening = factory.open(place.database, 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(place.store)
  const database = await succeeded(opening)
  database.onversionchange = () => database.close()
  try {
    return await use(database)
  } finally {
    database.close()
  }
}

function succeeded<T>(request: IDBRequest<T>): Promise<T> {
  return new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result)
    request.onerror = () => reject(request.error)
  })
}
