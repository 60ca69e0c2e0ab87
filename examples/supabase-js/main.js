// Signs up, asks for two pictures, watches the job to its end, saves the pictures, notes it down.
import { createClient } from '@supabase/supabase-js'
import { writeFile } from 'node:fs/promises'

const { SUPABASE_URL, SUPABASE_ANON_KEY } = process.env
const supabase = createClient(SUPABASE_URL, SUPABASE_ANON_KEY)
const ok = ({ data, error }) => {
  if (error) throw error
  return data
}

const email = `ada-${Date.now()}@example.com`
const { user } = ok(await supabase.auth.signUp({ email, password: 'correct horse' }))

// Subscribe first, then ask: nothing that happens to the job is missed.
const ended = Promise.withResolvers()
const channel = supabase.channel('my-jobs').on(
  'postgres_changes',
  { event: 'UPDATE', schema: 'public', table: 'jobs', filter: `user_id=eq.${user.id}` },
  ({ new: job }) => {
    console.log(job.status, `${job.result_count} of ${job.quantity}`)
    if (['completed', 'failed', 'canceled'].includes(job.status)) ended.resolve(job)
  },
)
await new Promise((resolve, reject) =>
  channel.subscribe((state, error) => (state === 'SUBSCRIBED' ? resolve() : error && reject(error))),
)

ok(
  await supabase.functions.invoke('generate-image', {
    body: { prompt: 'a robot holding a skateboard', quantity: 2 },
  }),
)
const job = await ended.promise
if (job.status !== 'completed') throw new Error(job.error_message)

// A picture by its public URL, and by its path in the bucket.
const pictures = ok(
  await supabase.from('images').select('path, url, width, height').eq('job_id', job.id).order('position'),
)
for (const [index, picture] of pictures.entries()) {
  const blob = ok(await supabase.storage.from('generations').download(picture.path))
  const file = `robot-${index + 1}.${blob.type.split('/')[1]}`
  await writeFile(file, Buffer.from(await blob.arrayBuffer()))
  console.log('saved', file, `${picture.width} x ${picture.height}`, picture.url)
}

// The app's own table, and a function of its own.
ok(await supabase.from('notes').insert({ body: `made ${pictures.length} pictures` }))
console.log(ok(await supabase.functions.invoke('summary', { body: { limit: 10 } })))

await supabase.removeAllChannels()
await supabase.auth.signOut()
// A program that ends here would wait 10 s for a timer of the channel it left.
process.exit()
