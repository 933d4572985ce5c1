/** The npm contract, from a page with nothing in it on an origin that is no relay. */
import assert from 'node:assert/strict'
import { echoPair } from '../lib/echo.mjs'
import { EVERY_BROWSER, joinFrom, story } from '../lib/story.mjs'

story('the default relay is the one that served the module', async (world) => {
  const relay = await world.relay()
  const page = await world.blankPage()
  const joined = await page.evaluate(async (module) => {
    const { OpenRed } = await import(module)
    const node = await OpenRed.join()
    const peers = await node.peers()
    return { state: node.status.state, peerId: node.peerId, peers }
  }, relay.module)
  assert.equal(joined.state, 'ready')
  assert.match(joined.peerId, /^12D3KooW/)
  const link = joined.peers.find((peer) => peer.peerId === relay.peerId)
  assert.ok(link, 'the relay is among the peers')
  assert.equal(link.path, 'direct')
  assert.ok(link.roles.includes('relay'), `roles are ${link.roles}`)
  assert.ok(link.address.includes('/ws'))
  assert.equal(typeof link.since, 'number')
}, { browsers: EVERY_BROWSER })

story('relays may be written as URL, multiaddr and host:port', async (world) => {
  const relay = await world.relay()
  for (const address of [relay.url, relay.url.replace('http:', 'ws:'), relay.webSocket, relay.http]) {
    const page = await world.blankPage()
    const state = await page.evaluate(async ({ module, address }) => {
      const { OpenRed } = await import(module)
      const node = await OpenRed.join({ relays: [address] })
      const { state } = node.status
      await node.close()
      return state
    }, { module: relay.module, address })
    assert.equal(state, 'ready', address)
    await page.end()
  }
})

story('a record carries what was offered, and says which layer gave it', async (world) => {
  const { provider, guest } = await echoPair(world)
  const found = await guest.evaluate(() => node.find('echo'))
  assert.equal(found.layer, 'dht')
  assert.equal(typeof found.elapsedMs, 'number')
  assert.equal(found.records.length, 1)
  const [record] = found.records
  assert.equal(record.name, 'echo')
  assert.equal(record.type, 'echo')
  assert.equal(record.provider, await provider.evaluate(() => node.peerId))
  assert.deepEqual(record.metadata, { color: 'red' })
  assert.equal(record.layer, 'dht')
  assert.equal(record.ttl, 3_600_000)
  assert.ok(Math.abs(Date.now() - record.issuedAt) < 60_000)
  assert.ok(record.ageMs >= 0 && record.ageMs < 60_000)
  assert.ok(record.sequence >= record.issuedAt - 1)
  assert.ok(record.endpoints.length > 0)
  assert.ok(record.endpoints.every((endpoint) => endpoint.includes('/p2p-circuit')), record.endpoints.join())
  assert.deepEqual(record.clusters, [])

  const own = await provider.evaluate(() => node.find('echo'))
  assert.equal(own.layer, 'own')
  assert.equal(own.records.length, 1)
}, { browsers: EVERY_BROWSER })

story('one name, two providers: both are found, and each can be meant', async (world) => {
  const { guest, provider, c } = await echoPair(world)
  const second = await world.member([c])
  await second.evaluate(async () => {
    node.handle('echo', async (stream) => {
      const writer = stream.writable.getWriter()
      await writer.write(new TextEncoder().encode('the second'))
      await writer.close()
    })
    await node.provide({ name: 'echo', metadata: { color: 'blue' } })
  })
  const [one, two] = await Promise.all([provider, second].map((page) => page.evaluate(() => node.peerId)))
  const found = await guest.evaluate(() => node.find('echo'))
  assert.deepEqual(found.records.map((record) => record.provider).sort(), [one, two].sort())
  const limited = await guest.evaluate(() => node.find('echo', { limit: 1 }))
  assert.equal(limited.records.length, 1)
  const meant = await guest.evaluate((two) => node.find(`echo@${two}`), two)
  assert.deepEqual(meant.records.map((record) => record.provider), [two])
  for (const target of [`echo@${two}`, { peer: two, name: 'echo' }, meant.records[0]]) {
    const heard = await guest.evaluate(async (target) => {
      const stream = await node.open(target)
      return { from: stream.remotePeer, text: new TextDecoder().decode(await story.readAll(stream.readable)) }
    }, target)
    assert.deepEqual(heard, { from: two, text: 'the second' })
  }
})

story('an update is seen by others, a withdrawal too', async (world) => {
  const [, b, c] = await world.threeRelays()
  const provider = await world.member([b])
  const guest = await world.member([c])
  await provider.evaluate(async () => {
    globalThis.registration = await node.provide({ name: 'library', metadata: { open: 'no' } })
  })
  const before = await guest.evaluate(() => node.find('library'))
  assert.deepEqual(before.records[0].metadata, { open: 'no' })

  await provider.evaluate(() => globalThis.registration.update({ metadata: { open: 'yes' } }))
  const late = await world.member([c])
  const after = await late.evaluate(() => node.find('library'))
  assert.deepEqual(after.records.map((record) => record.metadata), [{ open: 'yes' }])
  assert.ok(after.records[0].sequence > before.records[0].sequence)
  assert.deepEqual((await guest.evaluate(() => node.find('library', { maxAge: 0 }))).records.map((record) => record.metadata), [{ open: 'yes' }])

  await provider.evaluate(() => globalThis.registration.withdraw())
  const later = await world.member([c])
  for (const [page, who] of [[later, 'a newcomer'], [guest, 'who had found it before'], [provider, 'the provider itself']]) {
    const gone = await page.evaluate(() => node.find('library', { maxAge: 0 }))
    assert.deepEqual(gone.records, [], who)
  }
}, { browsers: EVERY_BROWSER })

story('a name nobody offers: no record, and soon', async (world) => {
  const [, b] = await world.threeRelays()
  const page = await world.member([b])
  const outcome = await page.evaluate(() => story.outcome(() => node.find('nobody-offers-this')))
  assert.deepEqual(outcome.value.records, [])
  assert.ok(outcome.ms < 1_000, `it took ${outcome.ms} ms`)
  const opened = await page.evaluate(() => story.outcome(() => node.open('nobody-offers-this')))
  assert.equal(opened.code, 'NOT_FOUND')
})

story('a caller\'s AbortSignal ends every long call with ABORTED and its reason', async (world) => {
  const { guest } = await echoPair(world)
  const outcomes = await guest.evaluate(async () => {
    const calls = {
      find: (signal) => node.find('some-name', { signal }),
      open: (signal) => node.open('echo', { signal }),
      provide: (signal) => node.provide({ name: 'mine' }, { signal }),
      join: (signal) => OpenRed.join({ signal })
    }
    const results = {}
    for (const [name, call] of Object.entries(calls)) {
      results[`${name}, aborted before`] = await story.outcome(() => call(AbortSignal.abort(new Error('changed my mind'))))
      const controller = new AbortController()
      const pending = story.outcome(() => call(controller.signal))
      controller.abort(new Error('changed my mind'))
      results[`${name}, aborted during`] = await story.within(2_000, pending, name)
    }
    return results
  })
  for (const [call, outcome] of Object.entries(outcomes)) {
    assert.equal(outcome.code, 'ABORTED', call)
    assert.equal(outcome.cause, 'changed my mind', call)
    assert.equal(outcome.real, true, call)
  }
  const still = await guest.evaluate(async () => (await node.find('echo')).records.length)
  assert.equal(still, 1)
  const offered = await guest.evaluate(async () => (await node.find('mine')).records.length)
  assert.equal(offered, 0, 'an aborted offer is no offer')
}, { browsers: EVERY_BROWSER })

story('events tell what happens, and end with the node', async (world) => {
  const { guest, provider } = await echoPair(world)
  const peer = await provider.evaluate(() => node.peerId)
  await guest.evaluate(() => {
    globalThis.heard = []
    globalThis.ended = (async () => {
      for await (const event of node.events()) globalThis.heard.push(event)
    })()
  })
  await guest.evaluate(async () => { await node.open('echo') })
  const heard = await guest.evaluate(async () => {
    await node.close()
    await story.within(2_000, globalThis.ended, 'the end of the events')
    return globalThis.heard
  })
  assert.ok(heard.some((event) => event.type === 'peer:connect' && event.peerId === peer), JSON.stringify(heard))
  assert.ok(heard.some((event) => event.type === 'record:found' && event.record.name === 'echo'), JSON.stringify(heard))
}, { browsers: EVERY_BROWSER })

story('after close every call says CLOSED', async (world) => {
  const { guest, provider } = await echoPair(world)
  await guest.evaluate(async () => {
    globalThis.stream = await node.open('echo')
    globalThis.pendingRead = story.outcome(() => stream.readable.getReader().read())
    globalThis.registration = await node.provide({ name: 'mine' })
    await node.close()
    await node.close()
  })
  const outcomes = await guest.evaluate(async () => {
    const calls = {
      find: () => node.find('echo'),
      open: () => node.open('echo'),
      provide: () => node.provide({ name: 'other' }),
      handle: () => node.handle('other', () => {}),
      update: () => globalThis.registration.update({ metadata: {} }),
      peers: () => node.peers(),
      stats: () => node.stats(),
      explain: () => node.explain(node.peerId)
    }
    const results = {}
    for (const [name, call] of Object.entries(calls)) {
      results[name] = await story.within(2_000, story.outcome(call), name)
    }
    results['a pending read'] = await story.within(2_000, globalThis.pendingRead, 'a pending read')
    return { state: node.status.state, results }
  })
  assert.equal(outcomes.state, 'closed')
  for (const [call, outcome] of Object.entries(outcomes.results)) {
    if (call === 'a pending read') assert.ok(['CLOSED', 'STREAM_RESET'].includes(outcome.code), `${call}: ${JSON.stringify(outcome)}`)
    else assert.equal(outcome.code, 'CLOSED', `${call}: ${JSON.stringify(outcome)}`)
  }
  // The provider outlives its guest, and what the guest offered is gone.
  const left = await provider.evaluate(() => node.find('mine'))
  assert.deepEqual(left.records, [])
}, { browsers: EVERY_BROWSER })

story('an identity can be exported, used again, and kept', async (world) => {
  const relay = await world.relay()
  const page = await world.member([relay], { join: { identity: 'persistent' } })
  const first = await page.evaluate(() => node.peerId)
  const again = await page.evaluate(async (relays) => {
    const identity = node.exportIdentity()
    const bytes = identity instanceof Uint8Array
    await node.close()
    const second = await OpenRed.join({ relays, identity })
    const { peerId } = second
    await second.close()
    return { bytes, peerId }
  }, [relay.url])
  assert.deepEqual(again, { bytes: true, peerId: first })

  await page.reload()
  await joinFrom(page, [relay], { identity: 'persistent' })
  assert.equal(await page.evaluate(() => node.peerId), first)
  await joinFrom(page, [relay])
  assert.notEqual(await page.evaluate(() => node.peerId), first, 'ephemeral is the default')
}, { browsers: EVERY_BROWSER })

story('figures of the node itself', async (world) => {
  const { guest } = await echoPair(world)
  const stats = await guest.evaluate(async () => {
    await node.find('echo')
    return node.stats()
  })
  for (const field of ['uptimeMs', 'peers', 'relays', 'reservations', 'bytesIn', 'bytesOut', 'finds', 'findMs', 'peerConnections']) {
    assert.equal(typeof stats[field], 'number', field)
  }
  assert.ok(stats.finds >= 1 && stats.peers >= 1 && stats.relays >= 1 && stats.bytesIn > 0 && stats.bytesOut > 0, JSON.stringify(stats))
})
