/** The page in several tabs of one visitor, and through the life of a page: what it shows and what goes on. */
import assert from 'node:assert/strict'
import { story } from '../lib/story.mjs'
import { NETWORK_ERRORS } from '../lib/browser.mjs'
import { cutOff, reconnect } from '../lib/life.mjs'
import { Visitor } from '../lib/visitor.mjs'

story('two tabs of the page are one peer, say so, and each has its own conversations', async (world) => {
  const relay = await world.relay()
  const context = await world.profile()
  const first = await (await Visitor.of(world, relay, { context })).joins()
  const second = await (await Visitor.of(world, relay, { context })).joins()
  assert.equal(await second.reads('peer-id'), await first.reads('peer-id'))
  await second.says('tab-note', /node of another tab/)
  assert.equal(await first.reads('tab-note'), '')
  assert.deepEqual([await first.at('join-step-dial').isVisible(), await second.at('join-step-dial').isVisible()], [true, false])
  await world.picture(second.page, 'second-tab')

  await second.offers('tea-room')
  await first.finds('tea-room')
  await first.at('open-0').click()
  await first.says('error', /This browser offers it itself: the room is open in another of its tabs/)
  assert.equal(await first.at('error').getAttribute('data-code'), null)
  const guest = await (await Visitor.of(world, relay)).joins()
  await guest.finds('tea-room')
  await guest.opens(0)
  await guest.tells('is anybody here?')
  await second.hears('is anybody here?')

  // The tab that runs the node goes; the room of the other one opens again by itself, and the guest is back in it.
  await first.page.close()
  await second.page.getByTestId('tab-note').filter({ hasText: /^$/ }).waitFor({ state: 'attached' })
  await second.joins()
  await guest.hears('Connected again')
  await guest.tells('still here?')
  await second.hears('still here?')
  await second.tells('still here')
  await guest.hears('still here')
})

story('a page without network says so, and is back by itself', async (world) => {
  const relay = await world.relay()
  const visitor = await (await Visitor.of(world, relay, { tolerate: NETWORK_ERRORS })).joins()
  await visitor.offers('harbour')
  await cutOff(visitor.page)
  await visitor.says('status', /offline/, 2_000)
  await visitor.says('status-reason', /no network/)
  await world.picture(visitor.page, 'offline')
  await reconnect(visitor.page)
  await visitor.joins()
  const guest = await (await Visitor.of(world, relay)).joins()
  await guest.finds('harbour')
  await guest.opens(0)
  await guest.tells('ahoy')
  await visitor.hears('ahoy')
})

story('a visitor who goes back to the page finds it as it was', async (world) => {
  const relay = await world.relay()
  const elsewhere = await world.site()
  const host = await (await Visitor.of(world, relay)).joins()
  const before = await host.reads('peer-id')
  await host.offers('library')
  await host.page.goto(elsewhere.url)
  await host.page.goBack({ waitUntil: 'commit' })
  await host.joins()
  assert.equal(await host.reads('peer-id'), before)
  await host.says('offer-list', 'library')
  const guest = await (await Visitor.of(world, relay)).joins()
  await guest.finds('library')
  await guest.opens(0)
  await guest.tells('good evening')
  await host.hears('good evening')
})
