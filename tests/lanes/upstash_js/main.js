// A lane through @upstash/redis, unmodified. The argument says where it is and what waits on it.
import assert from 'node:assert/strict'
import { inspect } from 'node:util'

import { Redis } from '@upstash/redis'

const { url, token, queue, other, ids } = JSON.parse(process.argv[2])
const options = { url, token, retry: false }

const check = async (name, body) => {
  let why = null
  try {
    await body()
  } catch (error) {
    why = error?.stack ?? inspect(error)
  }
  process.stdout.write(JSON.stringify({ check: name, why }) + '\n')
}

const redis = new Redis(options)

await check('a lane answers and says how long it is', async () => {
  assert.equal(await redis.ping(), 'PONG')
  assert.equal(await redis.llen(queue), ids.length)
})

await check('the next jobs are seen without being taken', async () => {
  const seen = await redis.lrange(queue, 0, -1)
  assert.deepEqual(seen.map((job) => job.id), ids.toReversed())
})

await check('a job is popped as an object, and pushed back', async () => {
  const job = await redis.rpop(queue)
  assert.equal(job.id, ids[0])
  assert.equal(job.jobId, ids[0])
  assert.equal(job.prompt, 'ein Roboter — 機器人')
  assert.equal(await redis.llen(queue), ids.length - 1)
  assert.equal(await redis.lpush(queue, job), ids.length)
  assert.equal((await redis.rpop(queue)).attempt, 2)
})

await check('several are popped at once', async () => {
  const jobs = await redis.lpop(queue, 2)
  assert.deepEqual(jobs.map((job) => job.id), ids.slice(1, 3))
})

await check('a pipeline tells its results in order', async () => {
  const pipeline = redis.pipeline()
  pipeline.ping('x').llen(queue).rpop(queue)
  const [pong, length, job] = await pipeline.exec()
  assert.deepEqual([pong, length, job.id], ['x', ids.length - 3, ids[3]])
})

await check('calls at the same moment are each answered', async () => {
  const [pong, ...popped] = await Promise.all([
    redis.ping(),
    redis.rpop(queue),
    redis.rpop(queue),
  ])
  assert.equal(pong, 'PONG')
  assert.deepEqual(popped.filter((job) => job !== null).map((job) => job.id), [ids[4]])
})

await check('without base64 it is the same', async () => {
  const plain = new Redis({ ...options, responseEncoding: false, enableAutoPipelining: false })
  assert.equal(await plain.ping('ä'), 'ä')
  assert.equal(await plain.rpop(queue), null)
})

await check('what lanes do not have is an error of Redis', async () => {
  await assert.rejects(redis.set('a', 'b'), /ERR Command is not available/)
  await assert.rejects(redis.llen(other), /NOPERM/)
  await assert.rejects(redis.multi().ping().exec(), /ERR transactions are not supported/)
})

await check('another token opens nothing', async () => {
  await assert.rejects(new Redis({ ...options, token: 'x' }).ping(), /Unauthorized/)
})
