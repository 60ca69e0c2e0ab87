// Broadcasts, presence, tokens and connections, over both versions of the protocol.
import assert from 'node:assert/strict'
import { aPerson, anApp, given } from './apps.js'
import { VERSIONS, aJob, aProject, aTopic, hearing, names } from './channels.js'
import { speaking, subscribed } from './channels.js'
import { Heard, backstage, check } from './checks.js'

// An expired token is forgiven for 30 seconds, all but the last two of which are over here.
const TOKEN_SECONDS = 2 - 30

const ada = await aPerson(speaking('2.0.0'))
const bob = await aPerson(speaking('2.0.0'))

await check('a broadcast reaches all others, whichever version they speak', async () => {
  for (const vsn of VERSIONS) {
    const speaker = anApp(given.anonKey, speaking(vsn))
    const topic = aTopic()
    const heard = {}
    for (const other of VERSIONS) {
      heard[other] = new Heard()
      const listener = anApp(given.anonKey, speaking(other)).channel(topic)
      await subscribed(listener.on('broadcast', { event: 'ping' }, heard[other].note))
    }
    const own = new Heard()
    const channel = speaker.channel(topic, { config: { broadcast: { ack: true } } })
    await subscribed(channel.on('broadcast', { event: '*' }, own.note))
    const payload = { n: 1, text: 'ünï', deep: [{ a: null }] }
    assert.equal(await channel.send({ type: 'broadcast', event: 'other', payload: {} }), 'ok')
    assert.equal(await channel.send({ type: 'broadcast', event: 'ping', payload }), 'ok')
    for (const other of VERSIONS) {
      const [message] = await heard[other].count(1)
      assert.deepEqual(
        [message.type, message.event, message.payload],
        ['broadcast', 'ping', payload],
      )
      assert.equal(heard[other].all.length, 1)
    }
    assert.deepEqual(own.all, [])
  }
})

await check('a broadcast comes back to its sender when that is asked for', async () => {
  for (const vsn of VERSIONS) {
    const app = anApp(given.anonKey, speaking(vsn))
    const channel = app.channel(aTopic(), { config: { broadcast: { self: true } } })
    const own = new Heard()
    await subscribed(channel.on('broadcast', { event: 'ping' }, own.note))
    await channel.send({ type: 'broadcast', event: 'ping', payload: { n: 1 } })
    assert.deepEqual((await own.count(1))[0].payload, { n: 1 })
  }
})

await check('bytes are broadcast as bytes', async () => {
  const topic = aTopic()
  const heard = new Heard()
  await subscribed(bob.app.channel(topic).on('broadcast', { event: 'bytes' }, heard.note))
  const channel = ada.app.channel(topic, { config: { broadcast: { ack: true } } })
  await subscribed(channel)
  const payload = new Uint8Array([0, 200, 255]).buffer
  assert.equal(await channel.send({ type: 'broadcast', event: 'bytes', payload }), 'ok')
  const [message] = await heard.count(1)
  assert.deepEqual([...new Uint8Array(message.payload)], [0, 200, 255])
  await ada.app.channel(topic).httpSend('bytes', new Uint8Array([7, 0]))
  const [, posted] = await heard.count(2)
  assert.deepEqual([...new Uint8Array(posted.payload)], [7, 0])
})

await check('a broadcast needs no subscription', async () => {
  const topic = aTopic()
  const heard = new Heard()
  await subscribed(bob.app.channel(topic).on('broadcast', { event: '*' }, heard.note))
  const quiet = { realtime: { logger: () => {} } }
  for (const key of [given.anonKey, given.publishableKey, given.serviceKey]) {
    const channel = anApp(key, quiet).channel(topic)
    assert.equal(await channel.send({ type: 'broadcast', event: 'a', payload: { n: 1 } }), 'ok')
    assert.deepEqual(await channel.httpSend('b c/d', { n: 2 }), { success: true })
  }
  const seen = await heard.count(6)
  assert.deepEqual(
    seen.slice(0, 2).map(({ event, payload }) => [event, payload.n]),
    [
      ['a', 1],
      ['b c/d', 2],
    ],
  )
  const stranger = anApp('wrong', quiet).channel(topic)
  assert.equal(await stranger.send({ type: 'broadcast', event: 'a', payload: {} }), 'error')
  await assert.rejects(stranger.httpSend('a', {}))
})

await check('who is present is known to all', async () => {
  const topic = aTopic()
  const [first, second] = [ada, bob].map(({ app }, at) =>
    app.channel(topic, { config: { presence: { key: `person-${at}` } } }),
  )
  const [syncs, joins, leaves] = [new Heard(), new Heard(), new Heard()]
  const present = () => Object.keys(first.presenceState()).sort()
  first
    .on('presence', { event: 'sync' }, () => syncs.note(present()))
    .on('presence', { event: 'join' }, joins.note)
    .on('presence', { event: 'leave' }, leaves.note)
  await subscribed(first)
  assert.equal(await first.track({ mood: 'calm' }), 'ok')
  await syncs.until((all) => all.at(-1)?.length === 1)
  await subscribed(second.on('presence', { event: 'sync' }, () => {}))
  assert.equal(await second.track({ mood: 'tense' }), 'ok')
  await syncs.until((all) => all.at(-1)?.length === 2)
  const [meta] = first.presenceState()['person-1']
  assert.equal(meta.mood, 'tense')
  assert.ok(meta.presence_ref)
  assert.deepEqual(
    joins.all.map(({ key }) => key),
    ['person-0', 'person-1'],
  )
  await second.track({ mood: 'calm' })
  await syncs.until(() => first.presenceState()['person-1']?.[0]?.mood === 'calm')
  assert.equal(first.presenceState()['person-1'].length, 1)
  assert.equal(await second.untrack(), 'ok')
  await syncs.until((all) => all.at(-1).length === 1)
  assert.ok(leaves.all.some(({ key }) => key === 'person-1'))
  await second.track({})
  await syncs.until((all) => all.at(-1).length === 2)
  await bob.app.removeChannel(second)
  await syncs.until((all) => all.at(-1).length === 1)
})

await check('presence is known across versions, and after coming late', async () => {
  const topic = aTopic()
  const apps = VERSIONS.map((vsn) => anApp(given.anonKey, speaking(vsn)))
  const channels = apps.map((app) => app.channel(topic))
  await subscribed(channels[0])
  await channels[0].track({ n: 0 })
  const syncs = new Heard()
  const state = () =>
    Object.values(channels[1].presenceState())
      .flat()
      .map(({ n }) => n)
      .sort()
  channels[1].on('presence', { event: 'sync' }, () => syncs.note(state()))
  await subscribed(channels[1])
  await syncs.until((all) => all.at(-1)?.join() === '0')
  await channels[1].track({ n: 1 })
  await syncs.until((all) => all.at(-1)?.join() === '0,1')
  await apps[0].realtime.disconnect()
  await syncs.until((all) => all.at(-1)?.join() === '1')
})

await check('a token is refreshed in time, or the channel ends', async () => {
  const long = await backstage('mint', ada.id, 3600)
  const room = async () => {
    let token = await backstage('mint', ada.id, TOKEN_SECONDS)
    const app = anApp(given.anonKey, { accessToken: async () => token })
    const channel = app.channel(aTopic())
    const [heard, system] = [new Heard(), new Heard()]
    channel
      .on('postgres_changes', { event: '*', schema: 'public', table: 'jobs' }, heard.note)
      .on('system', {}, system.note)
    const renew = async () => {
      token = long
      await app.realtime.setAuth()
    }
    await app.realtime.setAuth()
    return { heard, system, renew, states: await subscribed(channel) }
  }
  const [expired, refreshed] = [await room(), await room()]
  await refreshed.renew()
  const told = await expired.system.until((all) => all.some(({ status }) => status === 'error'))
  assert.match(told.at(-1).message, /expired/)
  await expired.states.until((all) => all.includes('CLOSED'))
  await aJob(ada, { prompt: 'later' })
  assert.deepEqual(names(await refreshed.heard.count(1)), ['later'])
  assert.deepEqual([expired.heard.all, refreshed.states.all], [[], ['SUBSCRIBED']])
})

await check('a channel that was removed hears no more, and can be joined again', async () => {
  const {
    channel,
    heard: [heard],
    states,
  } = await hearing(ada.app, { table: 'projects' })
  await aProject(ada, 'before')
  await heard.count(1)
  assert.equal(await ada.app.removeChannel(channel), 'ok')
  assert.equal(states.all.at(-1), 'CLOSED')
  const again = ada.app.channel(channel.subTopic)
  const after = new Heard()
  again.on('postgres_changes', { event: '*', schema: 'public', table: 'projects' }, after.note)
  await subscribed(again)
  await aProject(ada, 'after')
  assert.deepEqual(names(await after.count(1)), ['after'])
  assert.deepEqual(names(heard.all), ['before'])
  const answers = await ada.app.removeAllChannels()
  assert.ok(answers.every((answer) => answer === 'ok'))
  assert.deepEqual(ada.app.getChannels(), [])
})

await check('heartbeats are answered', async () => {
  const beats = new Heard()
  const app = anApp(given.anonKey, { realtime: { heartbeatIntervalMs: 100 } })
  app.realtime.onHeartbeat((status) => beats.note(status))
  await subscribed(app.channel(aTopic()))
  await beats.until((all) => all.filter((status) => status === 'ok').length >= 2)
  assert.deepEqual(
    beats.all.filter((status) => !['sent', 'ok'].includes(status)),
    [],
  )
  await app.realtime.disconnect()
})

await check('who may not join is told why', async () => {
  for (const [key, options] of [
    ['wrong', {}],
    [given.anonKey, { config: { private: true } }],
  ]) {
    const app = anApp(key, { realtime: { reconnectAfterMs: () => 10_000 } })
    const states = new Heard()
    app.channel(aTopic(), options).subscribe((state, error) => states.note([state, error?.message]))
    const [[state]] = await states.count(1)
    assert.equal(state, 'CHANNEL_ERROR')
    await app.realtime.disconnect()
  }
})

process.exit(0)
