// What an app does from sign-in to a picture on the screen, and what its user sees on the way.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { aPerson, anApp } from './apps.js'
import { Heard, check, dataOf } from './checks.js'

const ENDED = ['completed', 'failed', 'canceled']

const generate = ({ app }, body) =>
  dataOf(
    app.functions.invoke('generate-image', {
      body: { prompt: 'a robot', imageSize: '512', ...body },
    }),
  )
const aProject = async ({ app, id }) => {
  const row = { user_id: id, name: 'Robots' }
  return (await dataOf(app.from('projects').insert(row).select('id').single())).id
}
const cancel = ({ app }, jobId) => app.functions.invoke('cancel-job', { body: { jobId } })
const watching = async ({ app }, table, filter, tell = () => {}) => {
  const [changes, states] = [new Heard(), new Heard()]
  const binding = { event: '*', schema: 'public', table, ...(filter && { filter }) }
  const channel = app.channel(`watch-${randomUUID()}`)
  channel.on('postgres_changes', binding, (change) => {
    changes.note(change.new)
    tell(change.new)
  })
  channel.subscribe(states.note)
  assert.equal((await states.count(1))[0], 'SUBSCRIBED')
  return changes
}
const ended = (rows) => ENDED.includes(rows.at(-1)?.status)
const credits = async ({ app }) => {
  const account = await dataOf(
    app.from('credit_accounts').select('balance, held, available').single(),
  )
  return [account.balance, account.held, account.available]
}
const distinct = (values) => values.filter((value, at) => value !== values[at - 1])
const growing = (values) => values.every((value, at) => at === 0 || value >= values[at - 1])

await check('a job is watched by its project from queued to its pictures', async () => {
  const person = await aPerson()
  const projectId = await aProject(person)
  const accounts = await watching(person, 'credit_accounts')
  const changes = await watching(person, 'jobs', `project_id=eq.${projectId}`)
  const outputs = await watching(person, 'generations', `project_id=eq.${projectId}`)
  await generate(person, { prompt: 'not of this project' })
  const { jobId, status } = await generate(person, { projectId, quantity: 3 })
  assert.equal(status, 'queued')

  const rows = await changes.until(ended, 'the end of the job')
  assert.ok(rows.every(({ id }) => id === jobId))
  assert.deepEqual(distinct(rows.map((row) => row.status)), ['queued', 'processing', 'completed'])
  const progress = rows.map((row) => row.progress)
  assert.ok(growing(progress) && progress[0] === 0 && progress.at(-1) === 100, String(progress))
  assert.ok(
    progress.some((value) => value > 0 && value < 100),
    String(progress),
  )
  assert.ok(growing(rows.map(({ seq }) => seq)))
  assert.equal(new Set(rows.map(({ seq }) => seq)).size, rows.length, 'each change once')
  assert.equal(rows.at(-1).result_urls.length, 3)

  const made = await outputs.count(3)
  assert.deepEqual(made.map(({ position }) => position).sort(), [0, 1, 2])
  const job = await dataOf(
    person.app
      .from('jobs')
      .select('*, generations(position, url, thumbnail_url, width)')
      .eq('id', jobId)
      .order('position', { referencedTable: 'generations' })
      .single(),
  )
  assert.deepEqual(
    job.generations.map(({ url }) => url),
    job.result_urls,
  )
  const photos = await dataOf(person.app.from('photos').select('url, prompt').eq('job_id', jobId))
  assert.equal(photos.length, 3)
  for (const { url, thumbnail_url: thumbnail } of job.generations)
    for (const shown of [url, thumbnail]) {
      const answer = await fetch(shown)
      assert.deepEqual(
        [answer.status, answer.headers.get('content-type').split('/')[0]],
        [200, 'image'],
      )
      assert.ok((await answer.arrayBuffer()).byteLength > 100)
    }
  await accounts.until((all) => all.at(-1)?.held === 0 && all.at(-1)?.balance === 16)
  assert.deepEqual(await credits(person), [16, 0, 16])
})

// As `.stream()` of other clients: subscribe, then select, then what is heard replaces the row.
// The row may be ahead of what is heard; its `seq` tells.
await check('a job is streamed by its id, with nothing lost in between', async () => {
  const person = await aPerson()
  const { app } = person
  const streams = []
  for (let at = 0; at < 4; at += 1) {
    const { jobId } = await generate(person, { quantity: 2 })
    const rows = new Heard()
    const heard = await watching(person, 'generation_jobs', `id=eq.${jobId}`, (row) => {
      if (row.seq > rows.all.at(-1)?.seq) rows.note(row)
    })
    const row = await dataOf(app.from('generation_jobs').select().eq('id', jobId).single())
    rows.note(row)
    for (const change of heard.all) if (change.seq > rows.all.at(-1).seq) rows.note(change)
    streams.push(rows)
  }
  for (const rows of streams) {
    const seen = await rows.until(ended, 'the end of the stream')
    const order = ['pending', 'generating', 'completed']
    const states = distinct(seen.map(({ status }) => status))
    assert.deepEqual(states, order.slice(order.indexOf(states[0])))
    const last = seen.at(-1)
    assert.deepEqual([last.progress, last.result_urls.length, last.result_count], [100, 2, 2])
    const stored = await dataOf(app.from('generation_jobs').select().eq('id', last.id).single())
    assert.deepEqual(last, stored)
  }
})

await check('a failure is told with its reason, and its credits come back', async () => {
  const person = await aPerson()
  const changes = await watching(person, 'jobs', `user_id=eq.${person.id}`)
  const accounts = await watching(person, 'credit_accounts')
  const { creditsHeld } = await generate(person, { prompt: 'a robot [fault:refused]', quantity: 2 })
  assert.equal(creditsHeld, 2)
  const last = (await changes.until(ended, 'the failure')).at(-1)
  assert.equal(last.status, 'failed')
  assert.ok(last.error_code && last.error_message)
  assert.deepEqual([last.result_count, last.result_urls], [0, []])
  const settled = await accounts.until((all) => all.length > 1 && all.at(-1).held === 0)
  assert.deepEqual([settled.at(-1).balance, settled.at(-1).held], [20, 0])
  assert.deepEqual(await credits(person), [20, 0, 20])
  const entries = await dataOf(person.app.from('credit_entries').select('kind, amount').order('id'))
  assert.deepEqual(
    entries.map(({ kind }) => kind),
    ['grant', 'hold', 'release'],
  )
})

await check('of four pictures the one that was refused is not paid for', async () => {
  const person = await aPerson()
  const changes = await watching(person, 'jobs', `user_id=eq.${person.id}`)
  const { jobId } = await generate(person, { prompt: 'a robot [fault:refused:2]', quantity: 4 })
  const last = (await changes.until(ended, 'the end of the job')).at(-1)
  assert.deepEqual([last.status, last.result_count, last.result_urls.length], ['completed', 3, 3])
  assert.deepEqual(await credits(person), [17, 0, 17])
  const made = await dataOf(
    person.app.from('images').select('position').eq('job_id', jobId).order('position'),
  )
  assert.deepEqual(
    made.map(({ position }) => position),
    [0, 1, 3],
  )
})

await check('a job is canceled, once, and costs nothing', async () => {
  const person = await aPerson()
  const changes = await watching(person, 'jobs', `user_id=eq.${person.id}`)
  const shown = await watching(person, 'generation_jobs', `user_id=eq.${person.id}`)
  const { jobId } = await generate(person, { prompt: 'a robot [fault:slow]' })
  await changes.until((all) => all.at(-1)?.status === 'processing')
  const told = await dataOf(cancel(person, jobId))
  assert.deepEqual([told.status, told.creditsReleased], ['canceled', 1])
  assert.equal((await changes.until(ended)).at(-1).status, 'canceled')
  assert.equal((await shown.until((all) => all.at(-1)?.status === 'failed')).at(-1).id, jobId)
  assert.equal((await dataOf(cancel(person, jobId))).status, 'canceled')
  assert.deepEqual(await credits(person), [20, 0, 20])
})

await check('two people see and touch nothing of each other', async () => {
  const [ada, bob] = [await aPerson(), await aPerson()]
  const heard = {}
  for (const [name, person] of [
    ['ada', ada],
    ['bob', bob],
  ])
    heard[name] = {
      jobs: await watching(person, 'jobs'),
      photos: await watching(person, 'photos'),
      accounts: await watching(person, 'credit_accounts'),
    }
  const [hers, his] = await Promise.all([generate(ada), generate(bob)])
  for (const [name, { id }] of [
    ['ada', ada],
    ['bob', bob],
  ]) {
    await heard[name].jobs.until(ended)
    await heard[name].photos.count(1)
    await heard[name].accounts.until((all) => all.at(-1)?.held === 0 && all.at(-1)?.balance === 19)
    for (const table of ['jobs', 'photos', 'accounts'])
      assert.ok(
        heard[name][table].all.every((row) => row.user_id === id),
        `${name}: ${table}`,
      )
  }
  for (const [person, other, own] of [
    [ada, his, hers],
    [bob, hers, his],
  ]) {
    const rows = await dataOf(person.app.from('jobs').select('id'))
    assert.deepEqual(rows, [{ id: own.jobId }])
    for (const table of ['generations', 'photos'])
      assert.deepEqual(await dataOf(person.app.from(table).select().eq('job_id', other.jobId)), [])
    const { error } = await cancel(person, other.jobId)
    assert.equal(error.context.status, 404)
  }
  const [picture] = await dataOf(ada.app.from('photos').select('bucket, path'))
  const folder = picture.path.slice(0, picture.path.lastIndexOf('/'))
  const generations = ({ app }) => app.storage.from(picture.bucket)
  assert.ok((await dataOf(generations(ada).list(folder))).length > 0)
  assert.deepEqual(await dataOf(generations(bob).list(folder)), [])
  assert.ok((await anApp().from('jobs').select()).error)
})

process.exit(0)
