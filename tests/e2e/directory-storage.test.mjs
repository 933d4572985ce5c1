/** A directory whose disk is full. */
import assert from 'node:assert/strict'
import { spawnSync } from 'node:child_process'
import { mkdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import { Client } from '../lib/directory-client.mjs'
import { story } from '../lib/story.mjs'
import { eventually } from '../lib/wait.mjs'
import { temporaryFolder } from '../lib/workspace.mjs'

/** Makes `$0` a disk of 6 MB, of which 4 are taken, and runs the rest of the command on it; no right but that to namespaces is needed. */
const SMALL_DISK = ['unshare', '--user', '--map-root-user', '--mount', 'sh', '-c',
  'mount -t tmpfs -o size=6m tmpfs "$0" && head -c 4194304 /dev/zero > "$0/ballast" && exec "$@"']

/** Why there is no such disk on this machine, or false. */
async function noDisk () {
  const folder = await temporaryFolder('openred-disk-')
  const [program, ...rest] = [...SMALL_DISK, folder, 'true']
  const tried = spawnSync(program, rest, { encoding: 'utf8' })
  return tried.status === 0 ? false : `this system gives no namespace with a disk of its own: ${tried.error?.message ?? tried.stderr}`
}

story('a full disk refuses what it cannot keep, answers all the same, and takes it when there is room', async (world) => {
  const data = join(await temporaryFolder('openred-disk-'), 'data')
  await mkdir(data)
  const relay = await world.relay({ data, args: ['--rate-limit', '0'], within: [...SMALL_DISK, data] })
  const node = await Client.known(relay)
  const put = async (number) => {
    const body = { addresses: ['/ip4/192.0.2.7/tcp/4001'], metadata: { number: String(number), filler: 'x'.repeat(900) } }
    return node.send('PUT', `/v1/nodes/${node.id}`, { body })
  }
  const kept = async () => (await node.json('GET', '/v1/nodes')).nodes[0].metadata.number
  let number = 0
  let refused = await put(number)
  while (refused.ok && number < 5_000) refused = await put(++number)
  assert.equal(refused.status, 507)
  const problem = await refused.json()
  assert.equal(problem.code, 'STORAGE')
  assert.doesNotMatch(problem.detail, /sqlite|\//)

  assert.equal(await kept(), String(number - 1), 'what was acknowledged is there, and what was refused is not')
  assert.equal((await node.send('GET', `/v1/nodes/${node.id}`)).status, 200)
  assert.equal((await node.send('POST', `/v1/nodes/${node.id}/heartbeat`)).status, 200)
  assert.equal((await fetch(new URL('/readyz', relay.url))).status, 200)

  // Another process's file system, as that process sees it.
  await rm(`/proc/${relay.pid}/root${data}/ballast`)
  await eventually(async () => (await put(++number)).ok, { ms: 20_000, what: 'a registration to be taken' })
  assert.equal(await kept(), String(number))
  assert.equal(await relay.stop(), 0)
}, { skip: await noDisk() })
