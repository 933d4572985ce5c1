/** The part of the page's address that says which conversation is shown: `#/chat/<name>` or `#/chat/<name>@<peer id>`. */

import type { Room } from './chat/room.js'

export function linkTo(room: Room): string {
  return new URL(placeOf(room), location.href).href
}

/** One's own room and one meant by peer id are written with it, so that a link leads to the same people. */
export function placeOf(room: Room | undefined): string {
  return room ? `#/chat/${encodeURIComponent(room.name)}@${room.host}` : location.pathname + location.search
}

/** What a link asks for: a name or `name@<peer id>`. */
export function placeWanted(): string | undefined {
  const [, path] = /^#\/chat\/(.+)$/.exec(location.hash) ?? []
  if (path === undefined) return undefined
  try {
    return decodeURIComponent(path)
  } catch {
    return path
  }
}
