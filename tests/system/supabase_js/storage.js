// Buckets, objects, signed URLs, pictures in other sizes and resumable things.
import assert from 'node:assert/strict'
import { randomBytes, randomUUID } from 'node:crypto'
import { Readable } from 'node:stream'
import { StorageApiError } from '@supabase/supabase-js'
import { Upload } from 'tus-js-client'
import { aPerson, anApp, given, operator } from './apps.js'
import { backstage, check, dataOf, errorOf } from './checks.js'
import { aPicture, sizeOf } from './pictures.js'

const TUS_CHUNK_BYTES = 6 * 1024 * 1024

const shop = operator().storage
const ada = await aPerson()
const bob = await aPerson()
const things = ada.app.storage.from('things')
const picture = aPicture()
const bytesOf = async (blob) => Buffer.from(await blob.arrayBuffer())
const refused = async (call, statusCode, code) => {
  const error = await errorOf(call)
  assert.ok(error instanceof StorageApiError, `${error.name}: ${error.message}`)
  assert.deepEqual([error.statusCode, error.code], [statusCode, code], error.message)
  return error
}
const own = (name) => `${ada.id}/${name}`
const put = (name, data, options) => dataOf(things.upload(own(name), data, options))
const aBucket = async (options) => {
  const id = `bucket-${randomUUID()}`
  await dataOf(shop.createBucket(id, options))
  return id
}

await check('buckets are made, read, changed, emptied and deleted', async () => {
  const id = `bucket-${randomUUID()}`
  const options = { public: false, fileSizeLimit: '1MB', allowedMimeTypes: ['image/*'] }
  assert.deepEqual(await dataOf(shop.createBucket(id, options)), { name: id })
  await refused(shop.createBucket(id, options), '409', 'BucketAlreadyExists')
  const bucket = await dataOf(shop.getBucket(id))
  assert.deepEqual([bucket.id, bucket.name, bucket.public], [id, id, false])
  assert.deepEqual(bucket.allowed_mime_types, ['image/*'])
  assert.ok(bucket.file_size_limit >= 1e6 && bucket.created_at.endsWith('Z'))
  assert.ok((await dataOf(shop.listBuckets())).some((one) => one.id === id))
  assert.deepEqual(
    (await dataOf(shop.listBuckets({ search: id }))).map((one) => one.id),
    [id],
  )
  const changed = { public: true, fileSizeLimit: null, allowedMimeTypes: null }
  assert.ok((await dataOf(shop.updateBucket(id, changed))).message)
  const after = await dataOf(shop.getBucket(id))
  assert.deepEqual(
    [after.public, after.file_size_limit, after.allowed_mime_types],
    [true, null, null],
  )

  await dataOf(shop.from(id).upload('a/b.png', picture, { contentType: 'image/png' }))
  await refused(shop.deleteBucket(id), '409', 'ResourceNotEmpty')
  assert.ok((await dataOf(shop.emptyBucket(id))).message)
  assert.deepEqual(await dataOf(shop.from(id).list()), [])
  assert.ok((await dataOf(shop.deleteBucket(id))).message)
  await refused(shop.getBucket(id), '404', 'NoSuchBucket')
  await refused(shop.from(id).upload('x', 'x'), '404', 'NoSuchBucket')
})

await check('buckets are listed in pages and in order', async () => {
  const ids = []
  for (let made = 0; made < 3; made += 1) ids.push(await aBucket({ public: false }))
  const options = { search: 'bucket-', sortColumn: 'name', sortOrder: 'desc', limit: 2, offset: 1 }
  const all = await dataOf(shop.listBuckets({ ...options, limit: 100, offset: 0 }))
  const names = all.map(({ name }) => name)
  assert.deepEqual(names, [...names].sort().reverse())
  assert.ok(ids.every((id) => names.includes(id)))
  const page = await dataOf(shop.listBuckets(options))
  assert.deepEqual(
    page.map(({ name }) => name),
    names.slice(1, 3),
  )
})

await check('only the service role makes buckets', async () => {
  for (const app of [ada.app, anApp()]) {
    assert.equal(
      (await errorOf(app.storage.createBucket('mine', { public: true }))).statusCode,
      '403',
    )
    assert.deepEqual(await dataOf(app.storage.listBuckets()), [])
  }
})

await check('what a bucket does not take is refused', async () => {
  const id = await aBucket({ public: false, fileSizeLimit: 1000, allowedMimeTypes: ['image/png'] })
  const bucket = shop.from(id)
  const tooLarge = Buffer.concat([picture, Buffer.alloc(1001)])
  await refused(
    bucket.upload('a.txt', 'text', { contentType: 'text/plain' }),
    '415',
    'InvalidMimeType',
  )
  const large = bucket.upload('a.png', tooLarge, { contentType: 'image/png' })
  await refused(large, '413', 'EntityTooLarge')
  const form = bucket.upload('b.png', new Blob([tooLarge], { type: 'image/png' }))
  await refused(form, '413', 'EntityTooLarge')
  await refused(bucket.upload('~`.png', picture, { contentType: 'image/png' }), '400', 'InvalidKey')
  assert.deepEqual(await dataOf(bucket.list()), [])
})

await check('bytes arrive as they were, however they were given', async () => {
  const data = randomBytes(70_000)
  const bodies = {
    buffer: data,
    arrayBuffer: data.buffer.slice(data.byteOffset, data.byteOffset + data.length),
    blob: new Blob([data], { type: 'image/png' }),
    file: new File([data], 'other-name.png', { type: 'image/png' }),
    nodeStream: Readable.from([data.subarray(0, 1000), data.subarray(1000)]),
    webStream: new Blob([data]).stream(),
  }
  for (const [name, body] of Object.entries(bodies)) {
    const path = own(`bodies/${name}.png`)
    const made = await dataOf(things.upload(path, body, { contentType: 'image/png' }))
    assert.deepEqual([made.path, made.fullPath], [path, `things/${path}`])
    assert.match(made.id, /^[0-9a-f-]{36}$/)
    const back = await dataOf(things.download(path))
    assert.equal(back.type, 'image/png', name)
    assert.ok((await bytesOf(back)).equals(data), name)
  }
  const form = new FormData()
  form.append('', new Blob([data], { type: 'image/jpeg' }), 'a.jpg')
  await put('bodies/form.jpg', form)
  assert.equal((await dataOf(things.download(own('bodies/form.jpg')))).type, 'image/jpeg')
  await put('bodies/text.txt', 'grüße')
  const text = await dataOf(things.download(own('bodies/text.txt')))
  assert.equal(await text.text(), 'grüße')
  const stream = await dataOf(things.download(own('bodies/buffer.png')).asStream())
  assert.ok(Buffer.concat(await Array.fromAsync(stream)).equals(data))
})

await check('an object knows its type, size, age and what was said about it', async () => {
  const metadata = { camera: 'Leica', tags: ['a', 'ü'] }
  for (const [name, body] of [
    ['raw.png', picture],
    ['form.png', new Blob([picture])],
  ]) {
    const options = { contentType: 'image/png', cacheControl: '60', metadata }
    await put(`info/${name}`, body, options)
    const info = await dataOf(things.info(own(`info/${name}`)))
    assert.deepEqual(
      [info.name, info.bucketId, info.size],
      [own(`info/${name}`), 'things', picture.length],
    )
    assert.equal(info.cacheControl, 'max-age=60', name)
    assert.deepEqual(info.metadata, metadata, name)
    assert.ok(info.id && info.version && info.etag && info.createdAt && info.lastModified)
  }
  assert.equal((await dataOf(things.info(own('info/raw.png')))).contentType, 'image/png')
  assert.equal((await things.exists(own('info/raw.png'))).data, true)
  assert.equal((await things.exists(own('info/no.png'))).data, false)
  await refused(things.info(own('info/no.png')), '404', 'NoSuchKey')
})

await check('an object is replaced when that is asked for, and else not', async () => {
  const path = own('twice.txt')
  const first = await dataOf(things.upload(path, 'one'))
  await refused(things.upload(path, 'two'), '409', 'KeyAlreadyExists')
  await refused(things.upload(path, new Blob(['two'])), '409', 'KeyAlreadyExists')
  const second = await dataOf(things.upload(path, 'two', { upsert: true }))
  assert.equal(second.id, first.id)
  assert.equal(await (await dataOf(things.download(path))).text(), 'two')
  await dataOf(things.update(path, 'three'))
  assert.equal(await (await dataOf(things.download(path))).text(), 'three')
  await dataOf(things.upload(own('fresh.txt'), 'x', { upsert: true }))
})

await check('a part of an object, and an object that is known already', async () => {
  await put('digits.txt', '0123456789', { contentType: 'text/plain', cacheControl: '60' })
  const url = `${given.url}/storage/v1/object/authenticated/things/${own('digits.txt')}`
  const read = (headers) =>
    fetch(url, {
      headers: { authorization: `Bearer ${ada.token}`, apikey: given.anonKey, ...headers },
    })
  const part = await read({ range: 'bytes=2-4' })
  assert.deepEqual(
    [part.status, part.headers.get('content-range'), await part.text()],
    [206, 'bytes 2-4/10', '234'],
  )
  assert.equal(await (await read({ range: 'bytes=-3' })).text(), '789')
  assert.equal((await read({ range: 'bytes=50-60' })).status, 416)
  const whole = await read({})
  assert.equal(whole.headers.get('accept-ranges'), 'bytes')
  assert.equal(whole.headers.get('cache-control'), 'max-age=60')
  const known = await read({ 'if-none-match': whole.headers.get('etag') })
  assert.deepEqual([known.status, await known.text()], [304, ''])
})

await check('folders are listed, searched, sorted and paged', async () => {
  for (const name of ['b.txt', 'a.txt', 'ab.txt', 'sub/c.txt', 'sub/deep/d.txt'])
    await put(`tree/${name}`, 'x'.repeat(name.length))
  const names = async (options, folder = 'tree') =>
    (await dataOf(things.list(own(folder), options))).map(({ name }) => name)
  assert.deepEqual((await names()).sort(), ['a.txt', 'ab.txt', 'b.txt', 'sub'])
  assert.deepEqual(await names({}, 'tree/sub/'), ['deep', 'c.txt'])
  assert.deepEqual(await names({ search: 'a' }), ['a.txt', 'ab.txt'])
  const down = { sortBy: { column: 'name', order: 'desc' } }
  assert.deepEqual(
    (await names(down)).filter((n) => n !== 'sub'),
    ['b.txt', 'ab.txt', 'a.txt'],
  )
  const made = { sortBy: { column: 'created_at', order: 'asc' } }
  assert.deepEqual(
    (await names(made)).filter((n) => n !== 'sub'),
    ['b.txt', 'a.txt', 'ab.txt'],
  )
  const pages = [await names({ limit: 2 }), await names({ limit: 2, offset: 2 })]
  assert.deepEqual(pages.flat(), await names())
  assert.deepEqual(await names({}, 'nowhere'), [])
  const [file] = await dataOf(things.list(own('tree'), { search: 'b.txt' }))
  assert.deepEqual([file.metadata.size, file.metadata.mimetype], [5, 'text/plain;charset=UTF-8'])
  assert.ok(file.id && file.created_at && file.updated_at && file.metadata.eTag)
  const folder = (await dataOf(things.list(own('tree')))).find(({ name }) => name === 'sub')
  assert.deepEqual([folder.id, folder.metadata, folder.created_at], [null, null, null])
})

await check('the second listing goes on from a cursor', async () => {
  for (const name of ['1.txt', '2.txt', '3.txt', 'sub/4.txt', 'sub/5.txt'])
    await put(`pages/${name}`, 'x')
  const prefix = own('pages/')
  const seen = []
  let cursor
  do {
    const page = await dataOf(things.listV2({ prefix, limit: 2, cursor }))
    assert.ok(page.objects.length <= 2)
    seen.push(...page.objects.map(({ name }) => name))
    cursor = page.nextCursor
    assert.equal(page.hasNext, Boolean(cursor))
  } while (cursor)
  const expected = ['1.txt', '2.txt', '3.txt', 'sub/4.txt', 'sub/5.txt']
  assert.deepEqual(
    seen,
    expected.map((name) => prefix + name),
  )
  const flat = await dataOf(things.listV2({ prefix, with_delimiter: true }))
  assert.deepEqual(
    flat.folders.map(({ name }) => name),
    [`${prefix}sub/`],
  )
  assert.deepEqual(
    flat.objects.map(({ name }) => name),
    seen.slice(0, 3),
  )
  const sorted = { prefix, sortBy: { column: 'name', order: 'desc' } }
  const back = await dataOf(things.listV2(sorted))
  assert.deepEqual(
    back.objects.map(({ name }) => name),
    [...seen].reverse(),
  )
})

await check('objects are moved, copied and removed', async () => {
  await put('move/a.txt', 'moved')
  assert.ok((await dataOf(things.move(own('move/a.txt'), own('move/b.txt')))).message)
  assert.equal((await things.exists(own('move/a.txt'))).data, false)
  const copied = await dataOf(things.copy(own('move/b.txt'), own('move/c.txt')))
  assert.equal(copied.path, `things/${own('move/c.txt')}`)
  for (const name of ['b', 'c'])
    assert.equal(await (await dataOf(things.download(own(`move/${name}.txt`)))).text(), 'moved')
  await refused(things.move(own('move/b.txt'), own('move/c.txt')), '409', 'KeyAlreadyExists')
  await refused(things.copy(own('move/no.txt'), own('move/d.txt')), '404', 'NoSuchKey')
  const target = await aBucket({ public: false })
  const admin = shop.from('things')
  await dataOf(admin.copy(own('move/b.txt'), 'there.txt', { destinationBucket: target }))
  await dataOf(admin.move(own('move/c.txt'), 'here.txt', { destinationBucket: target }))
  const there = (await dataOf(shop.from(target).list())).map(({ name }) => name)
  assert.deepEqual(there.sort(), ['here.txt', 'there.txt'])
  await put('move/e.txt', 'e')
  const paths = ['b', 'e', 'no'].map((name) => own(`move/${name}.txt`))
  const removed = await dataOf(things.remove(paths))
  assert.deepEqual(removed.map(({ name }) => name).sort(), paths.slice(0, 2))
  assert.deepEqual(await dataOf(things.list(own('move'))), [])
  assert.deepEqual(await dataOf(things.remove(paths)), [])
})

await check('a signed URL is for one object and for a time', async () => {
  const name = own('signed/a picture (1).png')
  await dataOf(things.upload(name, picture, { contentType: 'image/png' }))
  const { signedUrl } = await dataOf(things.createSignedUrl(name, 60))
  const answer = await fetch(signedUrl)
  assert.deepEqual([answer.status, answer.headers.get('content-type')], [200, 'image/png'])
  assert.ok((await bytesOf(answer)).equals(picture))
  const named = await dataOf(things.createSignedUrl(name, 60, { download: 'robot.png' }))
  const attached = (await fetch(named.signedUrl)).headers.get('content-disposition')
  assert.match(attached, /^attachment;.*robot\.png/)
  const { signedUrl: past } = await dataOf(things.createSignedUrl(name, 1))
  // As long as it holds; the check as a whole has a deadline.
  let late
  do late = await fetch(past)
  while (late.ok)
  assert.equal((await late.json()).code, 'InvalidJWT')
  await put('signed/other.png', picture)
  const other = signedUrl.replace(encodeURI('a picture (1).png'), 'other.png')
  assert.notEqual(other, signedUrl)
  assert.equal((await (await fetch(other)).json()).code, 'InvalidSignature')
  assert.equal((await (await fetch(`${signedUrl}x`)).json()).code, 'InvalidJWT')
  await refused(things.createSignedUrl(own('signed/no.png'), 60), '404', 'NoSuchKey')
})

await check('many signed URLs at once, with an error for what is missing', async () => {
  await put('many/a.txt', 'a')
  const [there, missing] = await dataOf(
    things.createSignedUrls([own('many/a.txt'), own('many/no.txt')], 60),
  )
  assert.deepEqual([there.error, there.path], [null, own('many/a.txt')])
  assert.equal(await (await fetch(there.signedUrl)).text(), 'a')
  assert.deepEqual([missing.signedUrl, missing.path], [null, own('many/no.txt')])
  assert.match(missing.error, /does not exist/)
})

await check('somebody without a session uploads by a signed URL', async () => {
  const path = own('gift/a.png')
  const { token, signedUrl, path: told } = await dataOf(things.createSignedUploadUrl(path))
  assert.equal(told, path)
  assert.ok(signedUrl.includes(token))
  const guest = anApp().storage.from('things')
  const made = await dataOf(
    guest.uploadToSignedUrl(path, token, picture, { contentType: 'image/png' }),
  )
  assert.deepEqual([made.path, made.fullPath], [path, `things/${path}`])
  assert.equal((await dataOf(things.download(path))).type, 'image/png')
  await refused(guest.uploadToSignedUrl(path, token, picture), '409', 'KeyAlreadyExists')
  await refused(
    guest.uploadToSignedUrl(own('gift/b.png'), token, picture),
    '400',
    'InvalidSignature',
  )
  await refused(things.createSignedUploadUrl(path), '409', 'KeyAlreadyExists')
  const again = await dataOf(things.createSignedUploadUrl(path, { upsert: true }))
  await dataOf(guest.uploadToSignedUrl(path, again.token, new Blob(['new']), { upsert: true }))
  assert.equal(await (await dataOf(things.download(path))).text(), 'new')
})

await check('a public bucket is read by anybody, a private one is not', async () => {
  const id = await aBucket({ public: true })
  await dataOf(shop.from(id).upload('a/p.png', picture, { contentType: 'image/png' }))
  const bucket = anApp().storage.from(id)
  const { publicUrl } = bucket.getPublicUrl('a/p.png').data
  assert.equal(publicUrl, `${given.url}/storage/v1/object/public/${id}/a/p.png`)
  const answer = await fetch(publicUrl)
  assert.equal(answer.headers.get('access-control-allow-origin'), '*')
  assert.ok((await bytesOf(answer)).equals(picture))
  const { publicUrl: named } = bucket.getPublicUrl('a/p.png', { download: 'p.png' }).data
  assert.match((await fetch(named)).headers.get('content-disposition'), /^attachment;.*p\.png/)
  await put('private.png', picture)
  const hidden = anApp().storage.from('things').getPublicUrl(own('private.png')).data.publicUrl
  assert.equal((await (await fetch(hidden)).json()).code, 'NoSuchBucket')
})

await check('pictures come in other sizes', async () => {
  await put('large.png', aPicture(200, 100), { contentType: 'image/png' })
  const path = own('large.png')
  const sized = async (transform) =>
    sizeOf(await dataOf(things.download(path, { transform: { format: 'origin', ...transform } })))
  assert.deepEqual(await sized({ width: 50 }), [50, 25])
  assert.deepEqual(await sized({ width: 40, height: 40 }), [40, 40])
  assert.deepEqual(await sized({ width: 40, height: 40, resize: 'contain' }), [40, 20])
  assert.deepEqual(await sized({ width: 30, height: 60, resize: 'fill' }), [30, 60])
  const webp = await dataOf(
    things.download(path, { transform: { width: 50, quality: 40, format: 'webp' } }),
  )
  assert.equal(webp.type, 'image/webp')
  const wrong = await errorOf(things.download(path, { transform: { width: 999_999 } }))
  assert.deepEqual([wrong.name, wrong.status], ['StorageApiError', 400])

  const { signedUrl } = await dataOf(
    things.createSignedUrl(path, 60, { transform: { width: 20, format: 'origin' } }),
  )
  assert.deepEqual(await sizeOf(await fetch(signedUrl)), [20, 10])
  const id = await aBucket({ public: true })
  await dataOf(shop.from(id).upload('p.png', aPicture(80, 80), { contentType: 'image/png' }))
  const { publicUrl } = shop.from(id).getPublicUrl('p.png', { transform: { width: 16 } }).data
  const answer = await fetch(publicUrl, { headers: { accept: 'image/webp,*/*' } })
  assert.equal(answer.headers.get('content-type'), 'image/webp')
})

await check('nobody sees or touches what belongs to another', async () => {
  const path = own('secret.png')
  await put('secret.png', picture, { contentType: 'image/png' })
  for (const app of [bob.app, anApp()]) {
    const bucket = app.storage.from('things')
    assert.ok(await errorOf(bucket.download(path)))
    assert.ok(await errorOf(bucket.download(path, { transform: { width: 9 } })))
    await refused(bucket.info(path), '404', 'NoSuchKey')
    assert.deepEqual(await dataOf(bucket.list(ada.id)), [])
    assert.deepEqual((await dataOf(bucket.listV2({ prefix: ada.id }))).objects, [])
    await refused(bucket.createSignedUrl(path, 60), '404', 'NoSuchKey')
    assert.equal((await dataOf(bucket.createSignedUrls([path], 60)))[0].signedUrl, null)
    await refused(bucket.move(path, `${bob.id}/taken.png`), '404', 'NoSuchKey')
    await refused(bucket.copy(path, `${bob.id}/taken.png`), '404', 'NoSuchKey')
    assert.deepEqual(await dataOf(bucket.remove([path])), [])
    await refused(bucket.upload(own('planted.png'), picture), '403', 'AccessDenied')
    await refused(bucket.upload(path, picture, { upsert: true }), '403', 'AccessDenied')
    assert.ok(await errorOf(bucket.createSignedUploadUrl(own('planted.png'))))
  }
  assert.ok((await bytesOf(await dataOf(things.download(path)))).equals(picture))
})

const resumable = (name, data, options = {}) =>
  new Promise((resolve, reject) => {
    const upload = new Upload(data, {
      endpoint: `${given.url}/storage/v1/upload/resumable`,
      headers: { authorization: `Bearer ${ada.token}`, apikey: given.anonKey, 'x-upsert': 'false' },
      metadata: {
        bucketName: 'things',
        objectName: own(name),
        contentType: 'image/png',
        cacheControl: '60',
        metadata: JSON.stringify({ from: 'tus' }),
      },
      chunkSize: TUS_CHUNK_BYTES,
      uploadDataDuringCreation: true,
      retryDelays: null,
      onSuccess: () => resolve(upload.url),
      onError: reject,
      ...options,
      onChunkComplete: (size, sent) => options.onSent?.(upload, sent, resolve),
    })
    upload.start()
  })

await check('a large object is uploaded in pieces', async () => {
  const data = randomBytes(2 * TUS_CHUNK_BYTES + 1000)
  const sent = []
  await resumable('tus/whole.png', data, { onSent: (_, bytes) => sent.push(bytes) })
  assert.deepEqual(sent, [TUS_CHUNK_BYTES, 2 * TUS_CHUNK_BYTES, data.length])
  const back = await dataOf(things.download(own('tus/whole.png')))
  assert.equal(back.type, 'image/png')
  assert.ok((await bytesOf(back)).equals(data))
  const info = await dataOf(things.info(own('tus/whole.png')))
  assert.deepEqual(
    [info.size, info.cacheControl, info.metadata],
    [data.length, 'max-age=60', { from: 'tus' }],
  )
  const again = await resumable('tus/whole.png', data.subarray(0, 100)).catch((error) => error)
  assert.equal(again.originalResponse?.getStatus(), 409)
  assert.match(again.originalResponse.getBody(), /already exists/)
})

await check('nobody uploads in pieces to where they may not', async () => {
  const headers = { authorization: `Bearer ${bob.token}`, apikey: given.anonKey }
  const error = await resumable('tus/planted.png', Buffer.alloc(10), { headers }).catch((e) => e)
  assert.equal(error.originalResponse?.getStatus(), 403, String(error))
  assert.match(error.originalResponse.getBody(), /row-level security/)
})

await check('an upload goes on in a fresh client after the server was killed', async () => {
  const data = randomBytes(2 * TUS_CHUNK_BYTES + 1000)
  const onSent = (upload, bytes, resolve) => {
    if (bytes === TUS_CHUNK_BYTES) upload.abort().then(() => resolve(upload.url))
  }
  const uploadUrl = await resumable('tus/resumed.png', data, { onSent })
  assert.equal((await things.exists(own('tus/resumed.png'))).data, false)
  await backstage('restart')
  const sent = []
  await resumable('tus/resumed.png', data, { uploadUrl, onSent: (_, bytes) => sent.push(bytes) })
  assert.deepEqual(sent, [2 * TUS_CHUNK_BYTES, data.length])
  assert.ok((await bytesOf(await dataOf(things.download(own('tus/resumed.png'))))).equals(data))
})

process.exit(0)
