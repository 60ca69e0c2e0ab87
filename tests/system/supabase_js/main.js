// What an app does with supabase-js, unchanged: prints one line of JSON that the test judges.
import { createClient } from '@supabase/supabase-js'

const { url, anonKey, publishableKey, token, strangersToken } = JSON.parse(process.argv[2])
const signedIn = (accessToken, key = anonKey) =>
  createClient(url, key, { accessToken: async () => accessToken })

const app = signedIn(token)
const told = {}

const invoked = await app.functions.invoke('generate-image', {
  body: { prompt: 'a robot holding a skateboard', quantity: 2, aspectRatio: 'auto' },
  headers: { Prefer: 'wait=30', 'Idempotency-Key': '"js-1"' },
})
told.invoked = { data: invoked.data, error: invoked.error?.message ?? null }

const failure = async (client, name, body) => {
  const { data, error } = await client.functions.invoke(name, { body })
  return {
    data,
    name: error.name,
    message: error.message,
    status: error.context.status,
    body: await error.context.json(),
  }
}
told.badInput = await failure(app, 'generate-image', { prompt: 'x', quantity: 5 })
told.tooDear = await failure(app, 'generate-image', { prompt: 'x', quantity: 4, imageSize: '4K' })
told.noFunction = await failure(app, 'no-such-function', {})
told.textBody = await failure(app, 'generate-image', JSON.stringify({ prompt: 'x' }))
told.anon = await failure(createClient(url, anonKey), 'generate-image', { prompt: 'x' })
told.publishable = await failure(createClient(url, publishableKey), 'generate-image', {
  prompt: 'x',
})
told.wrongKey = await failure(createClient(url, 'wrong'), 'generate-image', { prompt: 'x' })
told.wrongToken = await failure(signedIn('wrong'), 'generate-image', { prompt: 'x' })

const worker = await createClient(url, anonKey).functions.invoke('image-worker')
told.worker = worker.data
told.canceled = await failure(app, 'cancel-job', { jobId: invoked.data.jobId })

const path = invoked.data.resultUrls[0].split('/object/public/generations/')[1]
const folder = path.slice(0, path.lastIndexOf('/'))
told.path = path
told.publicUrl = app.storage.from('generations').getPublicUrl(path).data.publicUrl
const picture = async (client, bucket, name) => {
  const { data, error } = await client.storage.from(bucket).download(name)
  return data ? { type: data.type, size: data.size } : { error: error.message }
}
const names = async (client, bucket, prefix) => {
  const { data, error } = await client.storage.from(bucket).list(prefix)
  return error ? { error: error.message } : data.map((entry) => entry.name)
}
told.downloaded = await picture(app, 'generations', path)
told.fetched = (await fetch(told.publicUrl)).headers.get('content-type')
told.listed = await names(app, 'generations', folder)

const bytes = await (await fetch(told.publicUrl)).arrayBuffer()
const user = folder.split('/')[0]
const upload = await app.storage
  .from('uploads')
  .upload(`${user}/robot.png`, bytes, { contentType: 'image/png' })
told.uploaded = upload.data?.fullPath ?? upload.error.message
const again = await app.functions.invoke('generate-image', {
  body: { prompt: 'the same', imageUrls: [told.uploaded] },
  headers: { Prefer: 'wait=30' },
})
told.withReference = again.data?.status ?? (await again.error.context.json())

const stranger = signedIn(strangersToken)
told.stranger = {
  downloaded: await picture(stranger, 'uploads', `${user}/robot.png`),
  listed: await names(stranger, 'uploads', user),
  reference: await failure(stranger, 'generate-image', {
    prompt: 'x',
    imageUrls: [told.uploaded],
  }),
}
told.own = {
  downloaded: await picture(app, 'uploads', `${user}/robot.png`),
  listed: await names(app, 'uploads', user),
}
console.log(JSON.stringify(told))
