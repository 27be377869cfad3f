// What headers and options add to the gazetteer's requests, through @supabase/supabase-js.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { afterEach, describe, test } from 'node:test'
import { anonKey, connect, ok, refused, service, serviceKey, sorted, source } from './gazetteer.mjs'

const notes = (client = service) => client.from('notes')
const airport = 'KEF'

// A client that keeps the headers of the last answer, which supabase-js itself does not give.
function listening() {
  const heard = { headers: null }
  heard.client = connect(serviceKey, async (...request) => {
    const answer = await fetch(...request)
    heard.headers = answer.headers
    return answer
  })
  return heard
}

afterEach(() => ok(notes().delete().gte('id', 0)))

describe('reading', () => {
  test('CSV holds the same rows', async () => {
    const { data } = await ok(service.from('time_zones').select('name,changes').order('name').csv())
    const lines = sorted(source.time_zones, 'name').map((row) => `${row.name},${row.changes ? 't' : 'f'}`)
    assert.deepEqual(data.trim().split(/\r?\n/), ['name,changes', ...lines])
  })

  test('members that are null are left out where asked', async () => {
    const { data } = await ok(service.from('languages').select().order('id').stripNulls())
    const expected = source.languages.map((row) =>
      Object.fromEntries(Object.entries(row).filter(([, value]) => value !== null)),
    )
    assert.deepEqual(data, expected)
  })

  for (const count of ['exact', 'planned', 'estimated']) {
    test(`count: ${count}`, async () => {
      const answer = await ok(service.from('countries').select('alpha_2', { count }).limit(1))
      assert.equal(answer.data.length, 1)
      assert.ok(Number.isInteger(answer.count))
      if (count === 'exact') assert.equal(answer.count, source.countries.length)
    })
  }

  test('cursors lead through every country', async () => {
    const heard = listening()
    const rows = []
    for (let cursor = ''; cursor !== null; cursor = heard.headers.get('next-cursor')) {
      const query = heard.client.from('countries').select('name').order('name', { ascending: false }).limit(100)
      query.url.searchParams.set('cursor', cursor)
      rows.push(...(await ok(query)).data)
    }
    assert.deepEqual(rows.map((row) => row.name), sorted(source.countries, 'name').map((row) => row.name).reverse())
  })
})

describe('writing', () => {
  test('what some of many rows lack is null, or the default', async () => {
    const rows = [{ airport, body: '1', written_on: '2024-02-29' }, { airport, body: '2', stars: 5 }]
    await refused(notes().insert(rows), 400, '23502')
    const { data } = await ok(notes().insert(rows, { defaultToNull: false }).select())
    assert.deepEqual(data.map((row) => [row.body, row.stars]), [['1', null], ['2', 5]])
    assert.equal(data[0].written_on, '2024-02-29')
    assert.ok(data[1].written_on)
    const merged = [{ id: data[0].id, airport, body: '3' }, { airport, body: '4', stars: 1 }]
    const upserted = await ok(notes().upsert(merged, { defaultToNull: false }).select('body'))
    assert.deepEqual(sorted(upserted.data, 'body'), [{ body: '3' }, { body: '4' }])
    const { data: all } = await ok(notes().select('body').order('body'))
    assert.deepEqual(all.map((row) => row.body), ['2', '3', '4'])
  })

  test('an upsert merges or ignores by the key it is told', async () => {
    const there = source.currencies[0]
    const table = () => service.from('currencies')
    const renamed = { ...there, name: 'Renamed' }
    const options = { onConflict: 'numeric_code', count: 'exact' }
    const ignored = await ok(table().upsert(renamed, { ...options, ignoreDuplicates: true }).select())
    assert.deepEqual([ignored.data, ignored.count], [[], 0])
    const merged = await ok(table().upsert(renamed, options).select().single())
    assert.deepEqual(merged.data, renamed)
    assert.deepEqual((await ok(table().upsert(there).select())).data, [there])
    await refused(table().upsert(there, { onConflict: 'name' }), 400, '42P10')
  })

  test('writes count what they touched, and are undone beyond what they may', async () => {
    const rows = [1, 2, 3, 4].map((number) => ({ airport, body: `${number}` }))
    assert.equal((await ok(notes().insert(rows, { count: 'exact' }))).count, 4)
    await refused(notes().update({ stars: 1 }).eq('airport', airport).maxAffected(3), 400, 'PGRST124')
    await refused(notes().delete().eq('airport', airport).maxAffected(3), 400, 'PGRST124')
    assert.deepEqual((await ok(notes().select('stars'))).data, Array(4).fill({ stars: null }))
    const changed = await ok(notes().update({ stars: 1 }, { count: 'exact' }).eq('airport', airport).maxAffected(4))
    assert.equal(changed.count, 4)
  })

  test('a unique violation names the constraint and the value', async () => {
    const row = source.currencies[0]
    const error = await refused(service.from('currencies').insert(row), 409, '23505')
    assert.equal(error.message, 'duplicate key value violates unique constraint "currencies_pkey"')
    assert.equal(error.details, `Key (alpha_3)=(${row.alpha_3}) already exists.`)
  })

  test('a write of one row that matches none', async () => {
    const query = () => notes().update({ stars: 1 }).eq('id', 0).select()
    assert.equal((await ok(query().maybeSingle())).data, null)
    const error = await refused(query().single(), 406, 'PGRST116')
    assert.match(error.details, /contains 0 rows/)
    const thrown = async () => query().single().throwOnError()
    await assert.rejects(thrown, (error) => error.name === 'PostgrestError' && error.code === 'PGRST116')
  })
})

test('strangers write and read what the policies let through', async () => {
  const stranger = connect(anonKey)
  await ok(notes(stranger).insert({ airport, body: 'b', stars: 3 }))
  const error = await refused(notes(stranger).insert({ airport, body: 'b', stars: 1 }), 401, '42501')
  assert.equal(error.message, 'new row violates row-level security policy for table "notes"')
  await refused(notes(stranger).insert({ airport, body: 'b', stars: 3 }).select(), 401, '42501')
  const good = await ok(notes(stranger).insert({ airport, body: 'b', stars: 4 }).select())
  assert.deepEqual((await ok(notes(stranger).select())).data, good.data)
  await refused(notes(stranger).delete().gte('id', 0), 401, '42501')
  assert.equal((await ok(notes().select('id'))).data.length, 2)
})

describe('of our own', () => {
  test('a write sent again under its key happens once', async () => {
    const heard = listening()
    const key = randomUUID()
    const send = (body) => notes(heard.client).insert({ airport, body }).select().setHeader('Idempotency-Key', key)
    const first = await ok(send('once'))
    assert.equal(heard.headers.get('idempotency-replayed'), null)
    assert.deepEqual((await ok(send('once'))).data, first.data)
    assert.equal(heard.headers.get('idempotency-replayed'), 'true')
    assert.deepEqual((await ok(notes().select())).data, first.data)
    await refused(send('twice'), 422, 'PGRST422')
  })

  test('a change on condition is refused when another was faster', async () => {
    const heard = listening()
    const { data: note } = await ok(notes().insert({ airport, body: 'Windy.', stars: 2.5 }).select().single())
    const read = () => ok(notes(heard.client).select().eq('id', note.id).single())
    const change = (stars, tag) => notes().update({ stars }).eq('id', note.id).setHeader('If-Match', tag)
    await read()
    const tag = heard.headers.get('etag')
    await ok(change(3, tag))
    await refused(change(4, tag), 412, 'PGRST412')
    assert.equal((await read()).data.stars, 3)
    await ok(change(4, heard.headers.get('etag')))
    assert.equal((await read()).data.stars, 4)
  })
})
