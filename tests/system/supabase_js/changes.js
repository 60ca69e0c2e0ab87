// Committed changes of tables and views: which are heard, by whom, in which order.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { postgresChangesFilter } from '@supabase/supabase-js'
import { PASSWORD, aPerson, anApp, given } from './apps.js'
import { VERSIONS, aJob, aProject, aTopic, anOutput, hearing } from './channels.js'
import { move, names, speaking, subscribed } from './channels.js'
import { Heard, backstage, check, dataOf } from './checks.js'

const ada = await aPerson(speaking('2.0.0'))
const bob = await aPerson(speaking('2.0.0'))

await check('a change is heard from SUBSCRIBED on, in order, once', async () => {
  for (const vsn of VERSIONS) {
    const person = await aPerson(speaking(vsn))
    const filter = `user_id=eq.${person.id}`
    const {
      channel,
      heard: [heard],
    } = await hearing(person.app, { table: 'projects', filter })
    assert.equal(person.app.realtime.vsn, vsn)
    const made = await aProject(person, 'First')
    const projects = person.app.from('projects')
    for (const name of ['Second', 'Third', 'Fourth'])
      await dataOf(projects.update({ name }).eq('id', made.id))
    const changes = await heard.count(4)
    assert.deepEqual(names(changes), ['First', 'Second', 'Third', 'Fourth'], vsn)
    const [first, second] = changes
    assert.deepEqual(
      [first.schema, first.table, first.eventType, first.errors, first.old],
      ['public', 'projects', 'INSERT', null, {}],
    )
    assert.ok(Date.parse(first.commit_timestamp) > 0)
    assert.deepEqual(first.new, made)
    assert.deepEqual([second.eventType, second.old], ['UPDATE', { id: made.id }])
    await person.app.removeChannel(channel)
    assert.equal(heard.all.length, 4)
  }
})

await check('a deletion shows the key alone', async () => {
  const {
    heard: [heard, filtered],
  } = await hearing(
    ada.app,
    { table: 'projects', event: 'DELETE' },
    { table: 'projects', event: 'DELETE', filter: `user_id=eq.${ada.id}` },
  )
  const made = await aProject(ada, 'Gone')
  await dataOf(ada.app.from('projects').delete().eq('id', made.id))
  const [change] = await heard.count(1)
  assert.deepEqual([change.eventType, change.new, change.old], ['DELETE', {}, { id: made.id }])
  assert.equal(filtered.all.length, 0, 'what a deletion does not tell cannot be filtered by')
})

await check('jobs, generations and the views are heard under their names', async () => {
  const tables = ['jobs', 'generations', 'generation_jobs', 'photos', 'images', 'videos']
  const { heard } = await hearing(ada.app, ...tables.map((table) => ({ table })))
  const of = Object.fromEntries(tables.map((table, at) => [table, heard[at]]))
  const job = await aJob(ada, { quantity: 2 })
  await move(job, "status = 'processing', progress = 10")
  await anOutput(job, 0, 'image')
  await anOutput(job, 1, 'video')
  await move(job, "status = 'completed', progress = 100, completed_at = now()")
  const statuses = (changes) => changes.map((change) => change.new.status)
  assert.deepEqual(statuses(await of.jobs.count(3)), ['queued', 'processing', 'completed'])
  assert.deepEqual(statuses(await of.generation_jobs.count(3)), [
    'pending',
    'generating',
    'completed',
  ])
  const media = (changes) => changes.map((change) => change.new.media_type)
  assert.deepEqual(media(await of.generations.count(2)), ['image', 'video'])
  assert.deepEqual(media(of.photos.all), ['image'])
  assert.deepEqual(media(of.images.all), ['image'])
  assert.deepEqual(media(of.videos.all), ['video'])
  for (const table of tables) for (const change of of[table].all) assert.equal(change.table, table)
  assert.equal(of.generation_jobs.all[0].new.queue, undefined)
  const [stored] = await dataOf(ada.app.from('videos').select().eq('job_id', job))
  assert.deepEqual(of.videos.all[0].new, stored)
})

await check('a change looks as the row does when it is selected', async () => {
  const {
    heard: [heard],
  } = await hearing(ada.app, { table: 'jobs' })
  const job = await aJob(ada, { prompt: 'ünï "x", {y}', quantity: 3, project: randomUUID() })
  await move(job, `metadata = '{"a": [1, null]}', result_urls = '{"a,b",c}', result_count = 2`)
  const changes = await heard.count(2)
  const row = await dataOf(ada.app.from('jobs').select().eq('id', job).single())
  assert.deepEqual(changes[1].new, row)
  assert.deepEqual(row.result_urls, ['a,b', 'c'])
  assert.ok(changes[1].new.seq > changes[0].new.seq)
})

await check('every filter that the client knows', async () => {
  const here = randomUUID()
  const filters = {
    eq: (f) => f.eq('prompt', 'a cat'),
    neq: (f) => f.neq('prompt', 'a cat'),
    gt: (f) => f.gt('quantity', 2),
    gte: (f) => f.gte('quantity', 2),
    lt: (f) => f.lt('quantity', 2),
    lte: (f) => f.lte('quantity', 2),
    in: (f) => f.in('prompt', ['a cat', 'cats, (two)']),
    like: (f) => f.like('prompt', 'a %'),
    ilike: (f) => f.ilike('prompt', 'A C%'),
    match: (f) => f.match('prompt', '^a'),
    imatch: (f) => f.imatch('prompt', 'DOG$'),
    is: (f) => f.is('project_id', null),
    isDistinct: (f) => f.isDistinct('project_id', here),
    not: (f) => f.not('prompt', 'in', ['a cat', 'a dog']),
  }
  const expected = {
    eq: [1],
    neq: [2, 3],
    gt: [3],
    gte: [2, 3],
    lt: [1],
    lte: [1, 2],
    in: [1, 3],
    like: [1, 2],
    ilike: [1],
    match: [1, 2],
    imatch: [2],
    is: [2],
    isDistinct: [2],
    not: [3],
  }
  const others = ['constructor', 'add', 'build', 'toString']
  const known = Object.getOwnPropertyNames(Object.getPrototypeOf(postgresChangesFilter()))
  assert.deepEqual(Object.keys(filters).sort(), known.filter((n) => !others.includes(n)).sort())
  const more = {
    text: 'quantity=eq.2',
    both: 'quantity=gt.1,quantity=lt.3',
    notEq: 'quantity=not.eq.2',
    notNull: 'project_id=not.is.null',
    quoted: postgresChangesFilter().eq('prompt', 'cats, (two)'),
    notQuoted: postgresChangesFilter().not('prompt', 'eq', 'cats, (two)'),
    none: 'prompt=eq.nothing',
    mine: `user_id=eq.${ada.id}`,
  }
  Object.assign(expected, {
    text: [2],
    both: [2],
    notEq: [1, 3],
    notNull: [1, 3],
    quoted: [3],
    notQuoted: [1, 2],
    none: [],
    mine: [1, 2, 3],
  })
  const built = Object.entries(filters).map(([name, add]) => [name, add(postgresChangesFilter())])
  const all = [...built, ...Object.entries(more)]
  const { heard } = await hearing(
    ada.app,
    ...all.map(([, filter]) => ({ table: 'jobs', event: 'INSERT', filter })),
  )
  await aJob(ada, { prompt: 'a cat', quantity: 1, project: here })
  await aJob(ada, { prompt: 'a dog', quantity: 2 })
  await aJob(ada, { prompt: 'cats, (two)', quantity: 3, project: here })
  await heard.at(-1).count(3)
  const found = all.map(([name], at) => [name, heard[at].all.map((change) => change.new.quantity)])
  assert.deepEqual(Object.fromEntries(found), expected)
})

await check('a filter on a view is on its own columns', async () => {
  const {
    heard: [pending, other],
  } = await hearing(
    ada.app,
    { table: 'generation_jobs', filter: 'status=eq.pending' },
    { table: 'generation_jobs', filter: 'status=eq.generating' },
  )
  const job = await aJob(ada)
  await move(job, "status = 'processing'")
  assert.equal((await other.count(1))[0].new.id, job)
  assert.deepEqual(
    pending.all.map((change) => change.new.status),
    ['pending'],
  )
})

await check('events and tables can be chosen, and columns', async () => {
  const {
    heard: [inserts, updates, everything, narrow],
  } = await hearing(
    ada.app,
    { table: 'projects', event: 'INSERT' },
    { table: 'projects', event: 'UPDATE' },
    {},
    { table: 'projects', select: ['id', 'name'] },
  )
  const made = await aProject(ada, 'Chosen')
  await dataOf(ada.app.from('projects').update({ name: 'Changed' }).eq('id', made.id))
  const all = await everything.count(2)
  assert.deepEqual(
    all.map((change) => change.table),
    ['projects', 'projects'],
  )
  assert.deepEqual(names(await updates.count(1)), ['Changed'])
  assert.deepEqual(names(inserts.all), ['Chosen'])
  assert.deepEqual((await narrow.count(2))[1].new, { id: made.id, name: 'Changed' })
})

await check('a binding that cannot be served is told so', async () => {
  for (const binding of [
    { table: 'jobs', filter: 'nope=eq.1' },
    { table: 'jobs', filter: 'quantity=eq.many' },
    { table: 'credit_entries' },
    { table: 'no_such_table' },
  ]) {
    const channel = ada.app.channel(aTopic())
    const [system, states] = [new Heard(), new Heard()]
    channel
      .on('postgres_changes', { event: '*', schema: 'public', ...binding }, () => {})
      .on('system', {}, system.note)
      .subscribe((state) => states.note(state))
    const [told] = await system.until(
      (all) => all.some(({ status }) => status === 'error'),
      JSON.stringify(binding),
    )
    assert.deepEqual([told.extension, told.status], ['postgres_changes', 'error'])
    assert.ok(told.message && told.channel)
    assert.equal(states.all[0], 'SUBSCRIBED')
    await ada.app.removeChannel(channel)
  }
})

await check('each hears of their own rows alone', async () => {
  const stranger = anApp(given.anonKey, speaking('2.0.0'))
  const bindings = [{ table: 'jobs' }, { table: 'generation_jobs' }, { table: 'photos' }]
  const [hers, his] = [await hearing(ada.app, ...bindings), await hearing(bob.app, ...bindings)]
  const foreign = new Heard()
  const spying = stranger.channel(aTopic())
  for (const binding of bindings)
    spying.on('postgres_changes', { event: '*', schema: 'public', ...binding }, foreign.note)
  spying.subscribe()
  for (const person of [ada, bob, ada, bob]) await anOutput(await aJob(person), 0, 'image')
  for (const [{ heard }, { id }] of [
    [hers, ada],
    [his, bob],
  ])
    for (const one of heard) {
      const owners = (await one.count(2)).map((change) => change.new.user_id)
      assert.deepEqual(owners, [id, id])
    }
  assert.deepEqual(foreign.all.map((change) => change.new.user_id ?? null).filter(Boolean), [])
  await stranger.removeAllChannels()
})

await check('who signs in as another hears of the rows of that one', async () => {
  const [first, second] = [await aPerson(), await aPerson()]
  const config = { broadcast: { ack: true } }
  const heard = new Heard()
  const channel = first.app.channel(aTopic(), { config })
  channel.on('postgres_changes', { event: '*', schema: 'public', table: 'jobs' }, heard.note)
  await subscribed(channel)
  await aJob(first, { prompt: 'first' })
  await heard.count(1)
  const { email } = second
  const { session } = await dataOf(first.app.auth.signInWithPassword({ email, password: PASSWORD }))
  assert.equal(first.app.realtime.accessTokenValue, session.access_token)
  // Frames are answered in their order: once this is, the new token has been taken.
  assert.equal(await channel.send({ type: 'broadcast', event: 'x', payload: {} }), 'ok')
  await aJob(first, { prompt: 'not for them' })
  await aJob(second, { prompt: 'second' })
  assert.deepEqual(names(await heard.count(2)), ['first', 'second'])
})

await check('a channel that was joined before the session was there hears once it is', async () => {
  const person = await aPerson()
  let open
  const session = new Promise((resolve) => (open = () => resolve(person.token)))
  const app = anApp(given.anonKey, { accessToken: () => session })
  const channel = app.channel(aTopic())
  const [heard, system] = [new Heard(), new Heard()]
  channel
    .on('postgres_changes', { event: '*', schema: 'public', table: 'jobs' }, heard.note)
    .on('system', {}, system.note)
  await subscribed(channel)
  open()
  await system.until((all) => all.at(-1)?.status === 'ok', 'changes to flow for the person')
  await aJob(person, { prompt: 'seen' })
  assert.deepEqual(names(await heard.count(1)), ['seen'])
})

await check('waiting for the changes to flow can be asked for', async () => {
  const channel = ada.app.channel(aTopic(), {
    config: { postgres_changes_options: { wait: true } },
  })
  const heard = new Heard()
  channel.on('postgres_changes', { event: '*', schema: 'public', table: 'projects' }, heard.note)
  await subscribed(channel)
  await aProject(ada, 'flowing')
  assert.deepEqual(names(await heard.count(1)), ['flowing'])
})

await check(
  'after the server was killed the channel is joined again, and seq fills the gap',
  async () => {
    const {
      heard: [heard],
      states,
    } = await hearing(ada.app, { table: 'jobs' })
    const before = await aJob(ada, { prompt: 'before' })
    const [{ new: last }] = await heard.count(1)
    assert.equal(last.id, before)
    const restarted = backstage('restart')
    await states.until((all) => all.some((state) => state.startsWith('CHANNEL_ERROR')))
    const missed = await aJob(ada, { prompt: 'meanwhile' })
    await restarted
    await states.until((all) => all.lastIndexOf('SUBSCRIBED') > 0, 'SUBSCRIBED again')
    const gap = await dataOf(ada.app.from('jobs').select('id').gt('seq', last.seq).order('seq'))
    assert.deepEqual(
      gap.map(({ id }) => id),
      [missed],
    )
    await aJob(ada, { prompt: 'after' })
    await heard.until((all) => names(all).includes('after'))
  },
)

process.exit(0)
