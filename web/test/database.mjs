/** IndexedDB of one origin, as far as one store with values under keys goes. */
export class Database {
  kept = new Map()
  /** Why nothing can be read or written. */
  failure = undefined
  /** Why a transaction that writes cannot read. */
  unreadable = undefined
  /** Why what was accepted cannot be committed in the end. */
  abort = undefined
  /** Nothing answers. */
  silent = false
  puts = 0

  /** Settles when no transaction that writes is under way. */
  #writing = Promise.resolve()

  open () {
    const made = { result: { close () {}, transaction: (_, mode) => this.#transaction(mode === 'readwrite') } }
    queueMicrotask(() => this.#answer(made))
    return made
  }

  /** Those that write go one after the other. A transaction ends when none of its requests is under way. */
  #transaction (writes) {
    const written = new Map()
    const before = writes ? this.#writing : Promise.resolve()
    let ended
    if (writes) this.#writing = new Promise((resolve) => { ended = resolve })
    let pending = 0
    const end = () => {
      if (this.silent || pending > 0) return
      ended?.()
      transaction.error = written.size > 0 ? this.failure ?? this.abort : this.failure ?? (writes ? this.unreadable : undefined)
      if (transaction.error) return transaction.onabort?.()
      for (const [key, value] of written) this.kept.set(key, value)
      transaction.oncomplete?.()
    }
    const request = (result) => {
      const made = {}
      pending += 1
      before.then(() => {
        made.result = result()
        this.#answer(made, writes ? this.unreadable : undefined)
        pending -= 1
        queueMicrotask(end)
      })
      return made
    }
    const transaction = {
      objectStore: () => ({
        get: (key) => request(() => written.get(key) ?? this.kept.get(key)),
        put: (value, key) => {
          this.puts += 1
          written.set(key, value)
          return request(() => {})
        },
      }),
    }
    return transaction
  }

  #answer (made, failure = this.failure) {
    if (this.silent) return
    made.error = failure
    if (failure) made.onerror?.()
    else made.onsuccess?.()
  }
}
