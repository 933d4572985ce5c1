/**
 * Values kept in IndexedDB: one under a key, in the one store of a database.
 *
 * A value is kept when its transaction has completed: what exceeds the quota fails only then. Every call opens and closes
 * the database, so that no tab holds up another's.
 */

/** Where a value is: the database, its store, and the key. */
export interface Place {
  readonly database: string
  readonly store: string
  readonly key: string
}

/** What is kept there; `undefined` if nothing is. */
export function read(factory: IDBFactory, place: Place): Promise<unknown> {
  return inDatabase(factory, place, (database) => succeeded(database.transaction(place.store).objectStore(place.store).get(place.key)))
}

/** Keeps a value there, in the place of what was kept before. */
export function write(factory: IDBFactory, place: Place, value: Uint8Array): Promise<void> {
  return inDatabase(factory, place, (database) => {
    const transaction = database.transaction(place.store, 'readwrite')
    transaction.objectStore(place.store).put(value, place.key)
    return new Promise((resolve, reject) => {
      transaction.oncomplete = () => resolve()
      transaction.onabort = () => reject(transaction.error)
    })
  })
}

async function inDatabase<T>(factory: IDBFactory, place: Place, use: (database: IDBDatabase) => Promise<T>): Promise<T> {
  const opening = factory.open(place.database, 1)
  opening.onupgradeneeded = () => opening.result.createObjectStore(place.store)
  const database = await succeeded(opening)
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
