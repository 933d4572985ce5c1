/** The relay's STUN server, asked by browsers themselves. */
import assert from 'node:assert/strict'
import { ownAddress } from '../lib/ports.mjs'
import { EVERY_BROWSER, story } from '../lib/story.mjs'

/** Firefox asks no STUN server on loopback, so the relay stands on another address of this machine, if it has one. */
const HOST = ownAddress()

/** The candidates of kind `srflx` that a connection with these `iceServers` gathers, and what the browser reports as errors. */
async function gathered (page, urls) {
  return page.evaluate(async (urls) => {
    const connection = new RTCPeerConnection({ iceServers: [{ urls }] })
    const [candidates, errors] = [[], []]
    connection.onicecandidate = ({ candidate }) => candidate && candidates.push(candidate.candidate)
    connection.onicecandidateerror = ({ errorCode, errorText }) => errors.push(`${errorCode} ${errorText}`)
    connection.createDataChannel('any')
    const complete = new Promise((resolve) => {
      connection.onicegatheringstatechange = () => connection.iceGatheringState === 'complete' && resolve()
    })
    await connection.setLocalDescription()
    await story.within(10_000, complete, 'the end of gathering')
    connection.close()
    return { reflexive: candidates.filter((candidate) => candidate.includes(' typ srflx ')), errors }
  }, urls)
}

async function count (relay, result) {
  const found = new RegExp(`^openred_stun_datagrams_total\\{result="${result}"\\} (\\d+)`, 'm').exec(await relay.metrics())
  return Number(found[1])
}

story('a page learns its address from the STUN server that its relay lists', async (world) => {
  const relay = await world.relay({ http: `${HOST ?? '127.0.0.1'}:0` })
  const { stun, services } = await relay.bootstrapJson()
  assert.equal(stun.length, 1)
  assert.equal(stun[0].replace(/\d+$/, ''), `stun:${HOST ?? '127.0.0.1'}:`)
  assert.ok(services.includes('stun'))
  const page = await world.blankPage()
  const { reflexive, errors } = await gathered(page, stun)
  assert.equal(errors.join(), '')
  assert.equal(reflexive.length, 1, reflexive.join())
  assert.ok(await count(relay, 'answered') >= 1)
  assert.equal(await count(relay, 'malformed'), 0)
}, { browsers: HOST === undefined ? ['chromium'] : EVERY_BROWSER })

story('a relay told to serve no STUN lists none', async (world) => {
  const relay = await world.relay({ args: ['--stun', 'off'] })
  const { stun, services } = await relay.bootstrapJson()
  assert.deepEqual(stun, [])
  assert.ok(!services.includes('stun'))
})
