/**
 * Checks a link token as the documentation of `openred_core::token` says, with nothing but WebCrypto: what a node in another
 * language does that wants to know its peer without asking the directory.
 */
const MAX_TOKEN = 2048
const LEEWAY_S = 60

/**
 * @param {string} token what the peer shows
 * @param {{ keys: object[] }} jwks the directory's published keys
 * @param {string} holder the peer that the connection itself has proved
 * @param {string} own
 * @returns {Promise<{ link: string, issuer: string, expiresAt: number }>}
 */
export async function verifyLink (token, jwks, holder, own, now = Date.now() / 1000) {
  const parts = token.split('.')
  if (token.length > MAX_TOKEN || parts.length !== 3) throw new Error('not a token')
  const header = json(parts[0])
  if (header.alg !== 'EdDSA' || header.typ !== 'openred-link+jwt' || header.crit !== undefined) throw new Error('another kind of token')
  const jwk = jwks.keys.find(({ kid, kty, crv }) => kid === header.kid && kty === 'OKP' && crv === 'Ed25519')
  if (jwk === undefined) throw new Error('unknown key')
  const key = await crypto.subtle.importKey('raw', Buffer.from(jwk.x, 'base64url'), { name: 'Ed25519' }, false, ['verify'])
  const signed = new TextEncoder().encode(`${parts[0]}.${parts[1]}`)
  if (!await crypto.subtle.verify('Ed25519', key, Buffer.from(parts[2], 'base64url'), signed)) throw new Error('wrong signature')
  const { iss, sub, aud, iat, exp, link } = json(parts[1])
  if (aud !== own || sub !== holder) throw new Error('for or by another peer')
  if (iat > now + LEEWAY_S || exp + LEEWAY_S <= now) throw new Error('not valid at this time')
  return { link, issuer: iss, expiresAt: exp * 1000 }
}

function json (part) {
  return JSON.parse(Buffer.from(part, 'base64url').toString())
}
