/**
 * Tells the node when the page comes back: from the background, from sleep, or to another network. Its timers stood
 * still or crawled until then, and its connections may be dead without anybody having noticed.
 */

/** Where there is a page, calls `wake` at each return until the returned function is called. */
export function onReturn(wake: () => void): () => void {
  if (typeof document === 'undefined') return () => {}
  const seen = (): void => {
    if (document.visibilityState === 'visible') wake()
  }
  document.addEventListener('visibilitychange', seen)
  document.addEventListener('resume', wake)
  addEventListener('online', wake)
  return () => {
    document.removeEventListener('visibilitychange', seen)
    document.removeEventListener('resume', wake)
    removeEventListener('online', wake)
  }
}
