/** IndexedDB of one origin, as far as one store with values under keys goes. */
export class Database {
  kept = new Map()
  /** Why nothing can be read or written. */
  failure = undefined
  /** Why what was accepted cannot be committed in the end. */
  abort = undefined
  /** Nothing answers. */
  silent = false
  puts = 0

  open () {
    return this.#request({ close () {}, transaction: () => this.#transaction() })
  }

  #transaction () {
    const transaction = {
      objectStore: () => ({
        get: (key) => this.#request(this.kept.get(key)),
        put: (value, key) => {
          this.puts += 1
          transaction.error = this.failure ?? this.abort
          const request = this.#request(undefined)
          queueMicrotask(() => {
            if (this.silent) return
            if (transaction.error) return transaction.onabort?.()
            this.kept.set(key, value)
            transaction.oncomplete?.()
          })
          return request
        },
      }),
    }
    return transaction
  }

  #request (result) {
    const made = { result }
    queueMicrotask(() => {
      if (this.silent) return
      made.error = this.failure
      if (this.failure) made.onerror?.()
      else made.onsuccess?.()
    })
    return made
  }
}
