/**
 * How a page lives: it is hidden and shown, frozen and thawed, put away whole and brought back, it sleeps with its machine, and
 * its network comes and goes.
 */

/** Between two looks at the clock while the page is seen: no event tells that the machine has slept. In ms. */
const LOOK_MS = 3_000

/** A look that is late by more than this was held up by a sleeping machine, in ms; a busy page is rarely late by a second. */
const LATE_MS = 2_000

export interface Life {
  /** The page is back from the background or from sleep, or its network is: connections may be dead without a sign. */
  wake(): void
  /** The network is another one. */
  changed(): void
  /** The browser says that there is no network at all. */
  offline(): void
  /** Scripts stop until `thaw`. */
  freeze(): void
  thaw(): void
  /** The page is put away and may come back with `show`. */
  putAway(): void
  show(): void
  /** The page is gone for good. */
  vanish(): void
}

/** Whether somebody may be looking. */
export function isSeen(): boolean {
  return typeof document === 'undefined' || document.visibilityState === 'visible'
}

/** Where there is a page, tells `life` until the returned function is called. */
export function watchPage(life: Life): () => void {
  if (typeof document === 'undefined') return () => {}
  const stop = new AbortController()
  const on = (target: EventTarget, type: string, listener: (event: Event) => void): void =>
    target.addEventListener(type, listener, { signal: stop.signal })
  let unwatch = (): void => {}
  const seen = (): void => {
    unwatch()
    unwatch = isSeen() ? watchClock(() => life.wake()) : () => {}
  }
  seen()
  on(document, 'visibilitychange', () => {
    seen()
    if (isSeen()) life.wake()
  })
  on(document, 'freeze', () => life.freeze())
  on(document, 'resume', () => {
    life.thaw()
    life.wake()
  })
  on(globalThis, 'online', () => life.wake())
  on(globalThis, 'offline', () => life.offline())
  on(globalThis, 'pagehide', (event) => ((event as PageTransitionEvent).persisted ? life.putAway() : life.vanish()))
  on(globalThis, 'pageshow', (event) => {
    if ((event as PageTransitionEvent).persisted) life.show()
  })
  const network = (navigator as { connection?: EventTarget }).connection
  if (network) on(network, 'change', () => life.changed())
  return () => {
    stop.abort()
    unwatch()
  }
}

/** Timers of hidden pages are late by themselves, so only a page that is seen looks at the clock. */
function watchClock(slept: () => void): () => void {
  let last = Date.now()
  const looking = setInterval(() => {
    const late = Date.now() - last - LOOK_MS
    last = Date.now()
    if (late > LATE_MS) slept()
  }, LOOK_MS)
  return () => clearInterval(looking)
}
