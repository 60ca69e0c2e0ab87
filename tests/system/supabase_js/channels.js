// Channels that are subscribed, and rows that change, for whoever listens.
import assert from 'node:assert/strict'
import { Heard, dataOf, sql } from './checks.js'

export const VERSIONS = ['2.0.0', '1.0.0']

export const speaking = (vsn) => ({ realtime: { vsn, reconnectAfterMs: () => 50 } })

let topics = 0
export const aTopic = () => `topic-${(topics += 1)}`

// Subscribes and returns the states, the first of which must be SUBSCRIBED.
export const subscribed = async (channel) => {
  const states = new Heard()
  channel.subscribe((state, error) => states.note(error ? `${state}: ${error.message}` : state))
  assert.equal((await states.count(1))[0], 'SUBSCRIBED')
  return states
}

// Returns what each binding hears of its table from now on.
export const hearing = async (app, ...bindings) => {
  const channel = app.channel(aTopic())
  const heard = bindings.map((binding) => {
    const one = new Heard()
    channel.on('postgres_changes', { event: '*', schema: 'public', ...binding }, one.note)
    return one
  })
  return { channel, heard, states: await subscribed(channel) }
}

export const names = (changes) => changes.map((change) => change.new.name ?? change.new.prompt)

export const aProject = async ({ app, id }, name) =>
  dataOf(app.from('projects').insert({ user_id: id, name }).select().single())

// Returns the id of a job that no worker takes: a row, and nothing in the queue.
export const aJob = async ({ id }, { prompt = 'a robot', quantity = 1, project = null } = {}) => {
  const [row] = await sql(
    `insert into public.jobs (id, user_id, project_id, created_at, expires_at, prompt, quantity)
     values (gen_random_uuid(), $1::text::uuid, $2::text::uuid, now(), now() + interval '1 day',
       $3::text, $4::text::int) returning id`,
    id,
    project,
    prompt,
    String(quantity),
  )
  return row.id
}

// Changes a job as the verbs do: with the next number of `seq`.
export const move = (job, assignments) =>
  sql(
    `update public.jobs set seq = nextval('tintype.change_seq'), ${assignments}
     where id = $1::text::uuid`,
    job,
  )

export const anOutput = (job, position, media) =>
  sql(
    `insert into public.generations (user_id, job_id, position, media_type, bucket, path, url)
     select user_id, id, $2::text::int, $3::text, 'generations', 'p', 'https://x.example/p'
     from public.jobs where id = $1::text::uuid`,
    job,
    String(position),
    media,
  )
