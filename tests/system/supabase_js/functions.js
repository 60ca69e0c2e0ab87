// Functions: what is sent and answered, the errors, and the ones that make pictures.
import assert from 'node:assert/strict'
import {
  FunctionsFetchError,
  FunctionsHttpError,
  FunctionsRelayError,
  createClient,
} from '@supabase/supabase-js'
import { aPerson, anApp, given } from './apps.js'
import { check, dataOf, errorOf } from './checks.js'
import { aPicture } from './pictures.js'

const SANDBOX = { prompt: 'a robot holding a skateboard', imageSize: '512' }

const ada = await aPerson()
const bob = await aPerson()
const tell = async (name, options) => dataOf(ada.app.functions.invoke(name, options))
const refused = async (call, status, code) => {
  const error = await errorOf(call)
  assert.ok(error instanceof FunctionsHttpError, `${error.name}: ${error.message}`)
  assert.equal(error.message, 'Edge Function returned a non-2xx status code')
  const body = await error.context.json()
  assert.deepEqual([error.context.status, body.code], [status, code], JSON.stringify(body))
  assert.ok(body.error ?? body.message)
  return body
}
const generate = ({ app }, body, headers = { Prefer: 'wait=30' }) =>
  app.functions.invoke('generate-image', { body: { ...SANDBOX, ...body }, headers })
const credits = async ({ app }) => {
  const [account] = await dataOf(app.from('credit_accounts').select('balance, held, available'))
  return account && [account.balance, account.held, account.available]
}

await check('every kind of body arrives as what it is', async () => {
  const json = await tell('mirror', { body: { a: [1, 'ü'] } })
  assert.deepEqual([json.method, json.type], ['POST', 'application/json'])
  assert.deepEqual(JSON.parse(Buffer.from(json.body, 'latin1').toString()), { a: [1, 'ü'] })
  assert.deepEqual([json.role, json.user], ['authenticated', ada.id])
  const text = await tell('mirror', { body: 'hello' })
  assert.deepEqual([text.type.split(';')[0], text.body], ['text/plain', 'hello'])
  const bytes = Buffer.from([0, 200, 255])
  const blob = await tell('mirror', { body: new Blob([bytes], { type: 'image/png' }) })
  assert.deepEqual([blob.type, blob.body], ['image/png', bytes.toString('latin1')])
  const buffer = await tell('mirror', { body: new Uint8Array([0, 200, 255]).buffer })
  assert.deepEqual(
    [buffer.type, buffer.body],
    ['application/octet-stream', bytes.toString('latin1')],
  )
  const none = await tell('mirror')
  assert.deepEqual([none.type, none.body], [null, ''])
  const form = new FormData()
  form.append('name', 'Ada')
  form.append('picture', new File([bytes], 'a.png', { type: 'image/png' }))
  const sent = await tell('mirror', { body: form })
  assert.match(sent.type, /^multipart\/form-data; boundary=/)
  assert.deepEqual(sent.fields, { name: 'Ada' })
  assert.deepEqual(sent.files, { picture: ['a.png', 'image/png', [0, 200, 255]] })
})

await check('methods, paths behind the name, queries, regions and headers', async () => {
  for (const method of ['GET', 'PUT', 'PATCH', 'DELETE'])
    assert.equal((await tell('mirror', { method })).method, method)
  const { path, query } = await tell('mirror/a/b?x=1&y=2')
  assert.deepEqual([path, query], ['/a/b', { x: '1', y: '2' }])
  assert.equal((await tell('mirror', { region: 'us-east-1' })).method, 'POST')
  const headers = { 'content-type': 'text/csv' }
  assert.equal((await tell('mirror', { body: 'a,b', headers })).type, 'text/csv')
})

await check('every kind of answer comes as what it is', async () => {
  assert.equal(await tell('mirror?as=text'), 'grüße')
  const blob = await tell('mirror?as=bytes')
  assert.deepEqual([...Buffer.from(await blob.arrayBuffer())], [0, 255, 1])
  const events = await tell('mirror?as=events')
  assert.equal(await events.text(), 'data: 0\n\ndata: 1\n\ndata: 2\n\n')
  assert.equal(await tell('mirror?as=nothing'), '')
})

await check('what a function fails with is told, and what broke in it is not', async () => {
  const invoke = (how, options) => ada.app.functions.invoke(`misbehave?how=${how}`, options)
  assert.equal((await refused(invoke('refuse'), 400, 'teapot_short')).hint, 'Pour.')
  const teapot = await errorOf(invoke('teapot'))
  assert.deepEqual(
    [teapot.context.status, await teapot.context.json()],
    [418, { error: 'I am a teapot' }],
  )
  const crash = await errorOf(invoke('crash'))
  assert.ok(crash instanceof FunctionsHttpError)
  assert.equal(crash.context.status, 500)
  assert.doesNotMatch(await crash.context.text(), /secret/)
  assert.ok((await errorOf(invoke('relay'))) instanceof FunctionsRelayError)
  assert.ok((await errorOf(invoke('hang', { timeout: 200 }))) instanceof FunctionsFetchError)
  const nowhere = createClient('http://127.0.0.1:9', given.anonKey)
  assert.ok((await errorOf(nowhere.functions.invoke('mirror'))) instanceof FunctionsFetchError)
})

await check('the gateway says who may call, and what is not there', async () => {
  const as = (token, key = given.anonKey) =>
    createClient(given.url, key, { accessToken: async () => token })
  await refused(ada.app.functions.invoke('no-such-function'), 404, 'NOT_FOUND')
  const wrong = 'UNAUTHORIZED_INVALID_JWT_FORMAT'
  await refused(anApp('wrong').functions.invoke('mirror'), 401, wrong)
  await refused(as('wrong').functions.invoke('mirror'), 401, wrong)
  for (const [key, role] of [
    [given.anonKey, 'anon'],
    [given.publishableKey, 'anon'],
    [given.serviceKey, 'service_role'],
    [given.secretKey, 'service_role'],
  ]) {
    const { role: told, user } = await dataOf(anApp(key).functions.invoke('mirror'))
    assert.deepEqual([told, user], [role, null])
  }
  const mixed = await dataOf(as(ada.token, given.serviceKey).functions.invoke('mirror'))
  assert.deepEqual([mixed.role, mixed.user], ['authenticated', ada.id])
})

await check('a page of any origin may call', async () => {
  const asked = await fetch(`${given.url}/functions/v1/mirror`, {
    method: 'OPTIONS',
    headers: {
      origin: 'https://app.example',
      'access-control-request-method': 'POST',
      'access-control-request-headers': 'authorization,apikey,content-type,x-client-info',
    },
  })
  assert.ok(asked.ok)
  assert.equal(asked.headers.get('access-control-allow-origin'), '*')
  const allowed = asked.headers.get('access-control-allow-headers').toLowerCase()
  for (const name of ['authorization', 'apikey', 'content-type', 'x-client-info'])
    assert.ok(allowed.includes(name), name)
})

await check('pictures are asked for, made, paid for and fetched', async () => {
  const app = await aPerson()
  const headers = { Prefer: 'wait=30', 'Idempotency-Key': '"js-1"' }
  const body = { quantity: 2, aspectRatio: 'auto' }
  const job = await dataOf(generate(app, body, headers))
  assert.deepEqual([job.status, job.resultCount, job.creditsHeld], ['completed', 2, 2])
  const again = await dataOf(generate(app, body, headers))
  assert.equal(again.jobId, job.jobId)
  assert.deepEqual(await credits(app), [18, 0, 18])

  const bucket = app.app.storage.from('generations')
  const path = job.resultUrls[0].split('/object/public/generations/')[1]
  assert.equal(bucket.getPublicUrl(path).data.publicUrl, job.resultUrls[0])
  const shown = await fetch(job.resultUrls[0])
  const picture = await dataOf(bucket.download(path))
  assert.equal(shown.headers.get('content-type'), picture.type)
  assert.ok(Buffer.from(await shown.arrayBuffer()).equals(Buffer.from(await picture.arrayBuffer())))
  const listed = await dataOf(bucket.list(path.slice(0, path.lastIndexOf('/'))))
  assert.equal(listed.length, 4, 'two pictures and their thumbnails')
  assert.ok(listed.some(({ name }) => path.endsWith(`/${name}`)))
  const ended = app.app.functions.invoke('cancel-job', { body: { jobId: job.jobId } })
  await refused(ended, 409, 'job_already_ended')
})

await check('a request that cannot be served costs nothing', async () => {
  const app = await aPerson()
  for (const quantity of [4, 1]) await dataOf(generate(app, { quantity }))
  const before = await credits(app)
  await refused(generate(app, { quantity: 5 }), 400, 'quantity_out_of_range')
  const large = generate(app, { quantity: 4, imageSize: '4K' })
  const { required, available } = await refused(large, 402, 'insufficient_credits')
  assert.deepEqual([required, available], [16, before[2]])
  const text = app.app.functions.invoke('generate-image', { body: JSON.stringify(SANDBOX) })
  await refused(text, 415, 'content_type_not_json')
  for (const key of [given.anonKey, given.publishableKey])
    await refused(generate({ app: anApp(key) }, {}), 403, 'user_required')
  assert.deepEqual(await credits(app), before)
})

await check('a reference belongs to its caller', async () => {
  const path = `${ada.id}/robot.png`
  const { fullPath } = await dataOf(
    ada.app.storage.from('uploads').upload(path, aPicture(), { contentType: 'image/png' }),
  )
  assert.equal(fullPath, `uploads/${path}`)
  assert.equal((await dataOf(generate(ada, { imageUrls: [fullPath] }))).status, 'completed')
  await refused(generate(bob, { imageUrls: [fullPath] }), 404, 'reference_not_found')
})

await check('an older app that drives the worker itself is answered', async () => {
  const told = await dataOf(anApp().functions.invoke('image-worker'))
  assert.deepEqual(told, { message: 'No jobs available' })
})

process.exit(0)
