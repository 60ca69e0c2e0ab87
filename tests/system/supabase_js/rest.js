// Tables, views and functions of a record shop (rest.sql), as supabase-js asks for them.
import assert from 'node:assert/strict'
import { PostgrestError } from '@supabase/supabase-js'
import { aPerson, anApp, given, operator } from './apps.js'
import { check, dataOf, errorOf } from './checks.js'

const shop = anApp(given.anonKey, { db: { retry: false } })
const records = () => shop.from('records')
const ids = async (query) => (await dataOf(query)).map(({ id }) => id)
const refused = async (call, status, code) => {
  const answer = await call
  const error = await errorOf(answer)
  assert.deepEqual([answer.status, error.code], [status, code], error.message)
  assert.ok('details' in error && 'hint' in error && error.message)
  return error
}
// What a check writes it takes away again; the shop is as before for the next one.
const restored = async (body) => {
  try {
    await body()
  } finally {
    await dataOf(shop.from('labels').delete().gt('id', 3))
    await dataOf(records().delete().gt('id', 4))
  }
  assert.equal((await dataOf(shop.from('labels').select('id'))).length, 3)
}

await check('columns, aliases, casts and paths into JSON', async () => {
  const columns = `
    id, name:title, price::text, facts->lang, peak:facts->chart->peaks->0,
    text:facts->chart->>peaks, released_at, genres`
  assert.deepEqual(await dataOf(records().select(columns).eq('id', 1)), [
    {
      id: 1,
      name: 'Journey',
      price: '12.50',
      lang: 'en',
      peak: 3,
      text: '[3, 7]',
      released_at: '2026-01-02T03:04:05.678901+00:00',
      genres: ['jazz', 'harp'],
    },
  ])
  const all = await dataOf(records().select().eq('id', 4))
  assert.deepEqual(
    [all[0].title, all[0].price, all[0].sold_between],
    ['Dust', null, '[2005-01-01,2006-01-01)'],
  )
  assert.deepEqual(await dataOf(records().select('id, price').eq('id', 4).stripNulls()), [
    { id: 4 },
  ])
})

await check('related rows, from either side', async () => {
  const one = records().select('title, artists(name, born), label:labels(name)').eq('id', 1)
  assert.deepEqual(await dataOf(one.single()), {
    title: 'Journey',
    artists: { name: 'Alice', born: '1937-08-27' },
    label: { name: 'Blue' },
  })
  const many = shop.from('artists').select('name, records(id)').order('id')
  assert.deepEqual(await dataOf(many), [
    { name: 'Alice', records: [{ id: 1 }] },
    { name: 'Bill', records: [{ id: 2 }, { id: 3 }] },
    { name: 'Carla', records: [] },
  ])
  const between = shop.from('shops').select('city, records(id, stock(copies))').eq('id', 2)
  assert.deepEqual(await dataOf(between), [
    { city: 'Rome', records: [{ id: 2, stock: [{ copies: 1 }, { copies: 5 }] }] },
  ])
  const nested = shop.from('stock').select('copies, records(title, artists(name))').eq('shop_id', 2)
  assert.deepEqual(await dataOf(nested), [
    { copies: 5, records: { title: 'Waltz', artists: { name: 'Bill' } } },
  ])
})

await check('related rows through a hint, a spread, a view and the same table', async () => {
  const parents = shop.from('labels').select('name, parent:parent_id(name)').eq('id', 2)
  assert.deepEqual(await dataOf(parents), [{ name: 'Little Blue', parent: { name: 'Blue' } }])
  const children = shop.from('labels').select('children:labels!parent_id(name)').eq('id', 1)
  assert.deepEqual(await dataOf(children), [{ children: [{ name: 'Little Blue' }] }])
  const named = records().select('labels!records_label_id_fkey(name)').eq('id', 4)
  assert.deepEqual(await dataOf(named), [{ labels: { name: 'Red' } }])
  const spread = records().select('title, ...artists(artist:name)').eq('id', 1)
  assert.deepEqual(await dataOf(spread), [{ title: 'Journey', artist: 'Alice' }])
  const view = shop.from('long_records').select('id, artists(name)').order('id')
  assert.deepEqual(await dataOf(view), [
    { id: 2, artists: { name: 'Bill' } },
    { id: 3, artists: { name: 'Bill' } },
  ])
})

await check('filters, orders and limits of related rows', async () => {
  const left = shop.from('artists').select('name, records(id)').eq('records.id', 2).order('id')
  assert.deepEqual(
    (await dataOf(left)).map((row) => row.records.length),
    [0, 1, 0],
  )
  const inner = shop.from('artists').select('name, records!inner(id)').eq('records.id', 2)
  assert.deepEqual(await dataOf(inner), [{ name: 'Bill', records: [{ id: 2 }] }])
  const without = shop.from('artists').select('name, records()').is('records', null)
  assert.deepEqual(await dataOf(without), [{ name: 'Carla' }])
  const ordered = shop
    .from('artists')
    .select('records(id)')
    .eq('id', 2)
    .order('id', { referencedTable: 'records', ascending: false })
    .limit(1, { referencedTable: 'records' })
  assert.deepEqual(await dataOf(ordered), [{ records: [{ id: 3 }] }])
  const second = shop
    .from('artists')
    .select('records(id)')
    .eq('id', 2)
    .order('id', { referencedTable: 'records' })
    .range(1, 1, { referencedTable: 'records' })
  assert.deepEqual(await dataOf(second), [{ records: [{ id: 3 }] }])
  const either = shop
    .from('artists')
    .select('records!inner(id)')
    .eq('id', 2)
    .or('id.eq.3,title.eq.Dust', { referencedTable: 'records' })
  assert.deepEqual(await dataOf(either), [{ records: [{ id: 3 }] }])
  const byArtist = records()
    .select('id, artists(name)')
    .order('artists(name)', { ascending: false })
  assert.deepEqual(await ids(byArtist.not('artist_id', 'is', null).order('id')), [2, 3, 1])
})

await check('every filter that the client knows', async () => {
  const filters = {
    eq: (q) => q.eq('title', 'Waltz'),
    neq: (q) => q.neq('title', 'Waltz'),
    gt: (q) => q.gt('tracks', 12),
    gte: (q) => q.gte('tracks', 12),
    lt: (q) => q.lt('price', 9),
    lte: (q) => q.lte('price', 9),
    like: (q) => q.like('title', '%a%t%'),
    likeAllOf: (q) => q.likeAllOf('title', ['%a%', '%z']),
    likeAnyOf: (q) => q.likeAnyOf('title', ['J%', 'D%']),
    ilike: (q) => q.ilike('title', 'w%'),
    ilikeAllOf: (q) => q.ilikeAllOf('title', ['%A%', 'w%']),
    ilikeAnyOf: (q) => q.ilikeAnyOf('title', ['j%', 'd%']),
    regexMatch: (q) => q.regexMatch('title', '^[JW]'),
    regexIMatch: (q) => q.regexIMatch('title', '^[jw]'),
    is: (q) => q.is('in_stock', null),
    isDistinct: (q) => q.isDistinct('tracks', 12),
    in: (q) => q.in('title', ['Waltz', 'Dust', 'A, (b)']),
    notIn: (q) => q.notIn('id', [1, 2]),
    contains: (q) => q.contains('genres', ['jazz']),
    containedBy: (q) => q.containedBy('genres', ['jazz', 'harp', 'x']),
    rangeGt: (q) => q.rangeGt('sold_between', '[2001-01-01,2002-01-01)'),
    rangeGte: (q) => q.rangeGte('sold_between', '[2001-01-01,2002-01-01)'),
    rangeLt: (q) => q.rangeLt('sold_between', '[2001-01-01,2002-01-01)'),
    rangeLte: (q) => q.rangeLte('sold_between', '[2001-01-01,2002-01-01)'),
    rangeAdjacent: (q) => q.rangeAdjacent('sold_between', '[2002-01-01,2003-01-01)'),
    overlaps: (q) => q.overlaps('genres', ['live', 'harp']),
    textSearch: (q) => q.textSearch('notes', 'journey & harp', { config: 'english' }),
    match: (q) => q.match({ artist_id: 2, in_stock: false }),
    not: (q) => q.not('tracks', 'is', null),
    or: (q) => q.or('id.eq.1,and(tracks.gt.11,label_id.not.is.null)'),
    filter: (q) => q.filter('genres', 'cs', '{"trio"}'),
  }
  const expected = {
    eq: [2],
    neq: [1, 3, 4],
    gt: [3],
    gte: [2, 3],
    lt: [3],
    lte: [2, 3],
    like: [2, 3],
    likeAllOf: [2],
    likeAnyOf: [1, 4],
    ilike: [2],
    ilikeAllOf: [2],
    ilikeAnyOf: [1, 4],
    regexMatch: [1, 2],
    regexIMatch: [1, 2],
    is: [3],
    isDistinct: [1, 3, 4],
    in: [2, 4],
    notIn: [3, 4],
    contains: [1, 2],
    containedBy: [1, 4],
    rangeGt: [4],
    rangeGte: [2, 4],
    rangeLt: [1],
    rangeLte: [1, 2],
    rangeAdjacent: [2],
    overlaps: [1, 3],
    textSearch: [1],
    match: [2],
    not: [1, 2, 3],
    or: [1, 2],
    filter: [2, 3],
  }
  const builder = Object.getPrototypeOf(records().select())
  const known = Object.getOwnPropertyNames(builder)
  const others = ['constructor', 'throwOnError']
  assert.deepEqual(Object.keys(filters).sort(), known.filter((n) => !others.includes(n)).sort())
  const found = {}
  for (const [name, filter] of Object.entries(filters))
    found[name] = await ids(filter(records().select('id')).order('id'))
  assert.deepEqual(found, expected)
})

await check('filters in their other forms', async () => {
  const found = async (narrow) => ids(narrow(records().select('id')).order('id'))
  assert.deepEqual(await found((q) => q.contains('facts', { lang: 'en' })), [1])
  assert.deepEqual(await found((q) => q.containedBy('facts', { lang: 'de', x: 1 })), [4])
  assert.deepEqual(await found((q) => q.contains('sold_between', '[2000-02-01,2000-03-01)')), [1])
  assert.deepEqual(await found((q) => q.eq('facts->>lang', 'de')), [2])
  assert.deepEqual(await found((q) => q.gt('facts->chart->peaks->0', 1)), [1])
  assert.deepEqual(await found((q) => q.is('in_stock', true)), [1, 4])
  assert.deepEqual(await found((q) => q.eq('title', 'Cats, "big" (and small)')), [3])
  assert.deepEqual(
    await found((q) => q.textSearch('notes', 'dancing trio', { type: 'plain' })),
    [2],
  )
  assert.deepEqual(
    await found((q) =>
      q.textSearch('notes', 'dancing waltz', { type: 'phrase', config: 'english' }),
    ),
    [],
  )
  const web = { type: 'websearch', config: 'english' }
  assert.deepEqual(await found((q) => q.textSearch('notes', 'harp or "dancing"', web)), [1, 2])
  assert.deepEqual(await found((q) => q.filter('tracks', 'eq(any)', '{5,12}')), [1, 2])
  assert.deepEqual(await found((q) => q.filter('tracks', 'gt(all)', '{4,10}')), [2, 3])
  assert.deepEqual(await found((q) => q.not('id', 'in', '(1,2)')), [3, 4])
  assert.deepEqual(await found((q) => q.gt('id', 1).lt('id', 4)), [2, 3])
  assert.deepEqual(await found((q) => q.or('id.eq.1,id.eq.2').or('tracks.gt.6,id.eq.4')), [2])
  assert.deepEqual(
    await found((q) => q.or('title.in.("Dust","A,b"), not.and(id.gt.1, id.lt.9)')),
    [1, 4],
  )
  assert.deepEqual(await found((q) => q.in('id', [])), [])
})

await check('order, with nulls first or last', async () => {
  const by = async (options) => ids(records().select('id').order('tracks', options).order('id'))
  assert.deepEqual(await by({ ascending: true }), [1, 2, 3, 4])
  assert.deepEqual(await by({ ascending: false }), [4, 3, 2, 1])
  assert.deepEqual(await by({ nullsFirst: true }), [4, 1, 2, 3])
  assert.deepEqual(await by({ ascending: false, nullsFirst: false }), [3, 2, 1, 4])
  assert.deepEqual(await ids(records().select('id').order('facts->>lang')), [2, 1, 3, 4])
})

await check('limit, range and counts', async () => {
  const sorted = (columns, options) => records().select(columns, options).order('id')
  assert.deepEqual(await ids(sorted('id').limit(2)), [1, 2])
  assert.deepEqual(await ids(sorted('id').range(1, 2)), [2, 3])
  const page = await sorted('id', { count: 'exact' }).range(1, 2)
  assert.deepEqual([page.status, page.count, page.data.length], [206, 4, 2])
  const whole = await sorted('id', { count: 'exact' }).gt('id', 2)
  assert.deepEqual([whole.status, whole.count], [200, 2])
  const head = await sorted('*', { count: 'exact', head: true })
  assert.deepEqual([head.status, head.count, head.data], [200, 4, null])
  for (const count of ['planned', 'estimated']) {
    const told = await sorted('id', { count })
    assert.ok(Number.isInteger(told.count) && told.error === null, count)
  }
  assert.equal((await sorted('id', { count: 'estimated' })).count, 4)
  assert.equal((await sorted('id')).count, null)
  await refused(sorted('id', { count: 'exact' }).range(50, 60), 416, 'PGRST103')
  assert.deepEqual(await dataOf(sorted('id').range(50, 60)), [])
})

await check('one row, perhaps one, and text with commas', async () => {
  const titled = (title) => records().select('id').eq('title', title)
  assert.deepEqual(await dataOf(titled('Dust').single()), { id: 4 })
  const none = await refused(titled('No').single(), 406, 'PGRST116')
  assert.match(none.details, /0 rows/)
  assert.match((await refused(records().select().single(), 406, 'PGRST116')).details, /4 rows/)
  assert.equal(await dataOf(titled('No').maybeSingle()), null)
  assert.deepEqual(await dataOf(titled('Dust').maybeSingle()), { id: 4 })
  await refused(records().select().maybeSingle(), 406, 'PGRST116')
  const text = await dataOf(records().select('id, title').in('id', [3, 4]).order('id').csv())
  assert.equal(text, 'id,title\n3,"Cats, ""big"" (and small)"\n4,Dust')
  await assert.rejects(async () => titled('No').single().throwOnError(), PostgrestError)
})

await check('inserting one row and many', async () => {
  await restored(async () => {
    const bare = await shop.from('labels').insert({ id: 4, name: 'Green' })
    assert.deepEqual([bare.status, bare.data, bare.error], [201, null, null])
    const rows = [
      { id: 5, name: 'Gold' },
      { id: 6, name: 'Grey', parent_id: 5 },
    ]
    const made = await dataOf(shop.from('labels').insert(rows).select('id, parent_id'))
    assert.deepEqual(made, [
      { id: 5, parent_id: null },
      { id: 6, parent_id: 5 },
    ])
    const counted = await shop.from('labels').insert([{ id: 7, name: 'G' }], { count: 'exact' })
    assert.equal(counted.count, 1)
    const one = await dataOf(
      records()
        .insert({ title: 'New', genres: ['a', 'b,c'], facts: { x: [1] } })
        .select('id, tracks, genres, facts, artists(name)')
        .single(),
    )
    assert.ok(one.id > 100)
    assert.deepEqual(
      [one.tracks, one.genres, one.facts, one.artists],
      [10, ['a', 'b,c'], { x: [1] }, null],
    )
    assert.deepEqual(await dataOf(shop.from('labels').insert([]).select()), [])
  })
})

await check('columns that a row leaves out are null, or their default', async () => {
  await restored(async () => {
    const rows = [{ title: 'A', tracks: 3 }, { title: 'B' }]
    const nulls = await dataOf(records().insert(rows).select('tracks'))
    assert.deepEqual(
      nulls.map(({ tracks }) => tracks),
      [3, null],
    )
    const filled = await dataOf(records().insert(rows, { defaultToNull: false }).select('tracks'))
    assert.deepEqual(
      filled.map(({ tracks }) => tracks),
      [3, 10],
    )
  })
})

await check('upserting by the key, by other columns, and ignoring what is there', async () => {
  await restored(async () => {
    const labels = () => shop.from('labels')
    const first = await labels().upsert({ id: 4, name: 'Green' }).select()
    assert.deepEqual([first.status, first.data[0].name], [201, 'Green'])
    const second = await labels().upsert({ id: 4, name: 'Lime' }).select()
    assert.deepEqual([second.status, second.data[0].name], [200, 'Lime'])
    const byName = await dataOf(
      labels()
        .upsert([{ id: 9, name: 'Lime' }], { onConflict: 'name' })
        .select('id'),
    )
    assert.deepEqual(byName, [{ id: 9 }])
    const rows = [
      { id: 9, name: 'Lost' },
      { id: 10, name: 'Kept' },
    ]
    const kept = await dataOf(labels().upsert(rows, { ignoreDuplicates: true }).select())
    assert.deepEqual(
      kept.map(({ id }) => id),
      [10],
    )
    const names = await dataOf(labels().select('name').gt('id', 3).order('id'))
    assert.deepEqual(
      names.map(({ name }) => name),
      ['Lime', 'Kept'],
    )
    const stock = [{ shop_id: 1, record_id: 1, copies: 3 }]
    const both = shop.from('stock').upsert(stock, { onConflict: 'shop_id, record_id' })
    assert.equal((await both).error, null)
  })
})

await check('updating and deleting, and how many at most', async () => {
  await restored(async () => {
    const labels = () => shop.from('labels')
    await dataOf(labels().insert([4, 5, 6].map((id) => ({ id, name: `L${id}` }))))
    const bare = await labels().update({ name: 'four' }).eq('id', 4)
    assert.deepEqual([bare.status, bare.data], [204, null])
    const some = await labels()
      .update({ parent_id: 1 }, { count: 'exact' })
      .gt('id', 3)
      .select('id')
    assert.deepEqual([some.status, some.count, some.data.length], [200, 3, 3])
    assert.deepEqual(await dataOf(labels().update({ name: 'x' }).eq('id', 99).select()), [])
    await refused(labels().update({ parent_id: 3 }).gt('id', 3).maxAffected(2), 400, 'PGRST124')
    await refused(labels().delete().gt('id', 3).maxAffected(2), 400, 'PGRST124')
    await refused(labels().update({ parent_id: 3 }).gt('id', 3).select().single(), 406, 'PGRST116')
    const untouched = await dataOf(labels().select('parent_id').gt('id', 3))
    assert.deepEqual(
      untouched.map((row) => row.parent_id),
      [1, 1, 1],
    )
    assert.equal((await labels().update({ parent_id: 3 }).gt('id', 3).maxAffected(3)).error, null)
    assert.deepEqual(await dataOf(labels().delete().eq('id', 6).select('id')), [{ id: 6 }])
    const gone = await labels().delete({ count: 'exact' }).in('id', [4, 5])
    assert.deepEqual([gone.status, gone.count], [204, 2])
    assert.ok((await errorOf(labels().delete())).message)
    assert.ok((await errorOf(labels().update({ name: 'all' }))).message)
  })
})

await check('calling functions, by POST, GET and HEAD', async () => {
  for (const options of [{}, { get: true }]) {
    assert.equal(await dataOf(shop.rpc('add', { a: 1, b: 2 }, options)), 3)
    assert.equal(await dataOf(shop.rpc('add', { a: 1 }, options)), 11)
    assert.equal(await dataOf(shop.rpc('total', { numbers: [1, 2, 3] }, options)), 6)
    assert.equal((await dataOf(shop.rpc('who', {}, options))).role, 'anon')
    const long = shop.rpc('longer_than', { tracks_min: 6 }, { ...options, count: 'exact' })
    const found = await long.select('id, artists(name)').lt('tracks', 15)
    assert.deepEqual([found.data, found.count], [[{ id: 2, artists: { name: 'Bill' } }], 1])
  }
  assert.equal((await dataOf(shop.rpc('one_record', { record: 4 }))).title, 'Dust')
  const single = shop.rpc('longer_than', { tracks_min: 6 }).eq('id', 3).select('title').single()
  assert.match((await dataOf(single)).title, /^Cats/)
  const nothing = await shop.rpc('nothing')
  assert.deepEqual([nothing.status, nothing.data, nothing.error], [204, null, null])
  const head = await shop.rpc('longer_than', { tracks_min: 6 }, { head: true, count: 'exact' })
  assert.deepEqual([head.count, head.data], [2, null])
  const renamed = await dataOf(shop.rpc('rename_label', { label: 3, new_name: 'Ruby' }))
  assert.deepEqual(renamed, [{ id: 3, name: 'Ruby', parent_id: null }])
  const byGet = shop.rpc('rename_label', { label: 3, new_name: 'Red' }, { get: true })
  assert.equal((await errorOf(byGet)).code, '25006')
  await dataOf(shop.rpc('rename_label', { label: 3, new_name: 'Red' }))
})

await check('errors have a code, a message, details and a hint', async () => {
  await refused(shop.from('labels').insert({ id: 1, name: 'New' }), 409, '23505')
  await refused(records().insert({ title: 'x', artist_id: 99 }), 409, '23503')
  await refused(records().insert({ tracks: 1 }), 400, '23502')
  await refused(records().insert({ title: 'x', tracks: 0 }), 400, '23514')
  await refused(records().select().eq('id', 'one'), 400, '22P02')
  await refused(records().select('nope'), 400, '42703')
  await refused(records().insert({ nope: 1 }), 400, 'PGRST204')
  await refused(shop.from('record').select(), 404, 'PGRST205')
  await refused(records().select('id, nope(x)'), 400, 'PGRST200')
  await refused(shop.rpc('nope', { a: 1 }), 404, 'PGRST202')
  await refused(records().select('id, (').eq('id', 1), 400, 'PGRST100')
  await refused(shop.schema('secret').from('x').select(), 406, 'PGRST106')
  const raised = await refused(shop.rpc('refuse'), 400, 'P0001')
  assert.deepEqual([raised.message, raised.details, raised.hint], ['No.', 'Because.', 'Ask.'])
})

await check('each sees and writes their own rows', async () => {
  const [ada, bob] = [await aPerson(), await aPerson()]
  const wishes = ({ app }) => app.from('wishes')
  const made = await dataOf(wishes(ada).insert({ record_id: 1 }).select().single())
  assert.deepEqual([made.user_id, made.words], [ada.id, 'please'])
  assert.deepEqual(await dataOf(wishes(bob).select()), [])
  assert.deepEqual(await dataOf(wishes(bob).update({ words: 'no' }).eq('id', made.id).select()), [])
  assert.deepEqual(await dataOf(wishes(bob).delete().eq('id', made.id).select()), [])
  await refused(wishes(bob).insert({ record_id: 2, user_id: ada.id }), 403, '42501')
  const givenAway = wishes(ada).update({ user_id: bob.id }).eq('id', made.id)
  await refused(givenAway, 403, '42501')
  await refused(shop.from('wishes').select(), 401, '42501')
  await refused(wishes(ada).insert({ record_id: 1 }), 409, '23505')
  assert.deepEqual(await dataOf(operator().from('wishes').select('user_id, records(title)')), [
    { user_id: ada.id, records: { title: 'Journey' } },
  ])
  assert.deepEqual((await dataOf(ada.app.rpc('who'))).id, ada.id)
  assert.deepEqual(await dataOf(wishes(ada).delete().eq('id', made.id).select('id')), [
    { id: made.id },
  ])
})

await check('the tables of Tintype are read by their owner and written by nobody', async () => {
  const { app, id } = await aPerson()
  for (const table of [
    'jobs',
    'generations',
    'credit_accounts',
    'credit_entries',
    'photos',
    'images',
    'videos',
    'generation_jobs',
  ])
    assert.deepEqual(await dataOf(app.from(table).select()), [], table)
  await refused(app.from('jobs').insert({ user_id: id }), 403, '42501')
  await refused(
    app.from('credit_accounts').update({ balance: 1e6 }).eq('user_id', id),
    403,
    '42501',
  )
  await refused(app.rpc('claim_next_job', {}), 403, '42501')
  const project = await dataOf(
    app.from('projects').insert({ user_id: id, name: 'Robots' }).select().single(),
  )
  assert.deepEqual([project.name, project.canvas_state], ['Robots', {}])
})

await check('a request can be abandoned, and what is not offered is refused clearly', async () => {
  const controller = new AbortController()
  controller.abort()
  const abandoned = await errorOf(records().select().abortSignal(controller.signal))
  assert.match(abandoned.message, /Abort/)
  await refused(records().select().explain(), 406, 'PGRST107')
  await refused(records().select().geojson(), 406, 'PGRST107')
})

process.exit(0)
