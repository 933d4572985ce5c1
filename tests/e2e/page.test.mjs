/** The page a relay serves: visitors of different relays join, offer, find and talk. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'
import { Visitor } from '../lib/visitor.mjs'

const JOIN_STEPS = ['dial', 'connected', 'identified', 'dht']
const PHONE = { width: 390, height: 844 }

story('visitors of two relays meet by name and talk both ways', async (world) => {
  const [, b, c] = await world.threeRelays()
  const host = await Visitor.of(world, b)
  const guest = await Visitor.of(world, c)
  await Promise.all([host.joins(), guest.joins()])
  for (const step of JOIN_STEPS) {
    assert.ok(await host.at(`join-step-${step}`).isVisible(), `the page shows the step ${step}`)
  }
  const ids = await Promise.all([host.reads('peer-id'), guest.reads('peer-id')])
  assert.match(ids[0], /12D3KooW\w+/)
  assert.notEqual(ids[0], ids[1])
  await host.says('peers-list', b.peerId.slice(-6))
  await world.picture(host.page, 'joined')

  await host.offers('chess-club')
  await guest.finds('chess-club')
  await guest.says('find-results', /dht/i)
  await world.picture(guest.page, 'found')

  await guest.opens(0)
  await guest.tells('good evening')
  await host.hears('good evening')
  await host.tells('black or white?')
  await guest.hears('black or white?')
  await guest.tells('white')
  await host.hears('white')
  await world.picture(host.page, 'talk-host')
  await world.picture(guest.page, 'talk-guest')
})

story('the same by keyboard alone, on a phone', async (world) => {
  const relay = await world.relay()
  const host = await Visitor.of(world, relay, { viewport: PHONE })
  const guest = await Visitor.of(world, relay, { viewport: PHONE })
  await Promise.all([host.joins(), guest.joins()])

  await host.at('offer-name').focus()
  await host.page.keyboard.type('tea-room')
  await host.page.keyboard.press('Enter')
  await host.says('offer-list', 'tea-room')

  await guest.at('find-name').focus()
  await guest.page.keyboard.type('tea-room')
  await guest.page.keyboard.press('Enter')
  await guest.says('find-results', 'tea-room')
  await guest.at('open-0').focus()
  await guest.page.keyboard.press('Enter')
  await guest.at('chat-input').waitFor({ state: 'visible' })
  await guest.at('chat-input').focus()
  await guest.page.keyboard.type('is anybody here?')
  await guest.page.keyboard.press('Enter')
  await host.hears('is anybody here?')

  await world.picture(host.page, 'phone-host')
  await world.picture(guest.page, 'phone-guest')
  for (const visitor of [host, guest]) {
    const overflow = await visitor.page.evaluate(() => document.documentElement.scrollWidth - window.innerWidth)
    assert.ok(overflow <= 0, `the page is ${overflow} px wider than the phone`)
  }
})

story('a name nobody offers and a bad name are answered in words', async (world) => {
  const relay = await world.relay()
  const visitor = await (await Visitor.of(world, relay)).joins()
  await visitor.looksFor('nobody-is-here')
  await visitor.says('find-results', /nobody|no one|not found|none/i, 2_000)
  await visitor.looksFor('Not A Name')
  await visitor.says('error', /name/i, 2_000)
  await world.picture(visitor.page, 'bad-name')
})

story('a reload joins again', async (world) => {
  const relay = await world.relay()
  const visitor = await (await Visitor.of(world, relay)).joins()
  await visitor.offers('before-the-reload')
  await visitor.page.reload()
  await visitor.joins()
  await visitor.offers('after-the-reload')
  const found = await visitor.withNode(async (node) => (await node.find('after-the-reload')).records.length)
  assert.equal(found, 1)
})
