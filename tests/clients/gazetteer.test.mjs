// The gazetteer through @supabase/supabase-js and @supabase/postgrest-js: loaded, read, changed, and compared.
import assert from 'node:assert/strict'
import { before, describe, test } from 'node:test'
import { PostgrestClient } from '@supabase/postgrest-js'
import { anonKey, connect, ok, refused, service, serviceKey, sorted, source, url } from './gazetteer.mjs'

const keys = {
  countries: 'alpha_2',
  subdivisions: 'code',
  former_countries: 'alpha_4',
  languages: 'id',
  currencies: 'alpha_3',
  time_zones: 'name',
  airports: 'iata',
}
const batch = 1000
const page = 900

const instant = (text) => new Date(text).getTime()

async function readAll(table, columns = '*') {
  const rows = []
  for (;;) {
    const query = service.from(table).select(columns, { count: 'exact' }).order(keys[table])
    const { data, count } = await ok(query.range(rows.length, rows.length + page - 1))
    rows.push(...data)
    if (rows.length >= count) return rows
    assert.notEqual(data.length, 0, 'an empty page before the counted end')
  }
}

before(async () => {
  for (const [table, rows] of Object.entries(source)) {
    for (let start = 0; start < rows.length; start += batch) {
      const { status } = await ok(service.from(table).insert(rows.slice(start, start + batch)))
      assert.equal(status, 201)
    }
  }
})

describe('reading', () => {
  for (const table of ['countries', 'subdivisions', 'former_countries', 'languages', 'currencies']) {
    test(`every row of ${table} comes back as it was sent`, async () => {
      assert.deepEqual(await readAll(table), sorted(source[table], keys[table]))
    })
  }

  test('airports come back with their fractions, NULLs and defaults', async () => {
    const expected = sorted(source.airports, 'iata')
    const columns = Object.keys(expected[0]).join(',')
    assert.deepEqual(await readAll('airports', columns), expected)
    const { data } = await ok(service.from('airports').select('visits,open,surveyed_on').limit(1).single())
    assert.deepEqual(data, { visits: 0, open: null, surveyed_on: null })
  })

  test('time zones come back as the same instants', async () => {
    const comparable = (row) => ({ ...row, new_year: instant(row.new_year) })
    assert.deepEqual(
      (await readAll('time_zones')).map(comparable),
      sorted(source.time_zones, 'name').map(comparable),
    )
  })

  test('counts agree, with and without rows', async () => {
    for (const [table, rows] of Object.entries(source)) {
      const { count, data } = await ok(service.from(table).select('*', { count: 'exact', head: true }))
      assert.equal(count, rows.length, table)
      assert.equal(data, null)
    }
  })

  const filters = {
    eq: ['airports', (q) => q.eq('country', 'IS'), (r) => r.country === 'IS'],
    'eq unicode': ['airports', (q) => q.eq('city', 'Bíldudalur'), (r) => r.city === 'Bíldudalur'],
    'eq boolean': ['languages', (q) => q.eq('living', false), (r) => r.living === false],
    neq: ['airports', (q) => q.neq('faa_id', 'SFO'), (r) => r.faa_id !== null && r.faa_id !== 'SFO'],
    'gt numeric': ['airports', (q) => q.gt('elevation', 9000.5), (r) => r.elevation > 9000.5],
    'lt negative': ['airports', (q) => q.lt('longitude', -179), (r) => r.longitude < -179],
    'gte and lte date': [
      'former_countries',
      (q) => q.gte('withdrawn_on', '1990-08-14').lte('withdrawn_on', '1993-06-15'),
      (r) => r.withdrawn_on !== null && r.withdrawn_on >= '1990-08-14' && r.withdrawn_on <= '1993-06-15',
    ],
    'lt instant': [
      'time_zones',
      (q) => q.lt('new_year', '2025-12-31T12:00:00-01:00'),
      (r) => instant(r.new_year) < instant('2025-12-31T13:00:00Z'),
    ],
    like: ['languages', (q) => q.like('name', '% Sign Language'), (r) => r.name.endsWith(' Sign Language')],
    ilike: ['airports', (q) => q.ilike('name', 'ÞÓRSHÖFN%'), (r) => r.name.toLowerCase().startsWith('þórshöfn')],
    in: ['countries', (q) => q.in('name', ['Norway', 'Tanzania, United Republic of']), (r) =>
      ['Norway', 'Tanzania, United Republic of'].includes(r.name)],
    'is null': ['subdivisions', (q) => q.is('parent', null), (r) => r.parent === null],
    'is true': ['time_zones', (q) => q.is('changes', true), (r) => r.changes],
    not: ['countries', (q) => q.not('common_name', 'is', null), (r) => r.common_name !== null],
    match: [
      'airports',
      (q) => q.match({ country: 'BR', subdivision: 'São Paulo' }),
      (r) => r.country === 'BR' && r.subdivision === 'São Paulo',
    ],
  }
  for (const [name, [table, build, keep]] of Object.entries(filters)) {
    test(`filter: ${name}`, async () => {
      const key = keys[table]
      const { data, count } = await ok(
        build(service.from(table).select(key, { count: 'exact' })).order(key),
      )
      const expected = sorted(source[table].filter(keep), key).map((row) => row[key])
      assert.ok(expected.length > 0, 'a filter that keeps nothing shows little')
      assert.deepEqual(data.map((row) => row[key]), expected)
      assert.equal(count, expected.length)
    })
  }

  test('order puts numbers as numbers and NULLs where asked', async () => {
    const rows = source.former_countries
    const dated = sorted(rows.filter((row) => row.withdrawn_on), 'withdrawn_on').reverse()
    for (const nullsFirst of [true, false]) {
      const query = service.from('former_countries').select('withdrawn_on')
      const { data } = await ok(query.order('withdrawn_on', { ascending: false, nullsFirst }))
      const undated = Array(rows.length - dated.length).fill(null)
      const dates = dated.map((row) => row.withdrawn_on)
      assert.deepEqual(
        data.map((row) => row.withdrawn_on),
        nullsFirst ? [...undated, ...dates] : [...dates, ...undated],
      )
    }
    const { data } = await ok(service.from('airports').select('elevation').order('elevation').limit(500))
    const lowest = source.airports.map((row) => row.elevation).sort((a, b) => a - b).slice(0, 500)
    assert.deepEqual(data.map((row) => row.elevation), lowest)
  })

  test('single and maybeSingle', async () => {
    const norway = source.countries.find((row) => row.alpha_2 === 'NO')
    const one = service.from('countries').select().eq('alpha_2', 'NO')
    assert.deepEqual((await ok(one.single())).data, norway)
    const none = () => service.from('countries').select().eq('alpha_2', 'XX')
    assert.equal((await ok(none().maybeSingle())).data, null)
    assert.match((await refused(none().single(), 406, 'PGRST116')).details, /contains 0 rows/)
    const two = await service.from('countries').select().in('alpha_2', ['NO', 'SE']).maybeSingle()
    assert.equal(two.error.code, 'PGRST116')
  })

  test('postgrest-js alone does the same', async () => {
    const rest = new PostgrestClient(`${url}/rest/v1`, { headers: { Authorization: `Bearer ${serviceKey}` } })
    const { data } = await ok(rest.from('countries').select('alpha_2').order('alpha_2'))
    assert.deepEqual(data.map((row) => row.alpha_2), source.countries.map((row) => row.alpha_2).sort())
  })
})

describe('writing', () => {
  const currency = { alpha_3: 'QQA', numeric_code: 'QQA', name: '"q", \\ \' \n 日本語 🇮🇸' }

  test('insert, update, upsert and delete', async () => {
    const table = () => service.from('currencies')
    assert.equal((await ok(table().insert(currency))).data, null)
    const other = { alpha_3: 'QQB', numeric_code: 'QQB', name: 'b' }
    assert.deepEqual((await ok(table().insert(other).select().single())).data, other)
    const renamed = await ok(table().update({ name: 'c' }).eq('alpha_3', 'QQB').select())
    assert.deepEqual(renamed.data, [{ ...other, name: 'c' }])
    const merged = await ok(table().upsert([other, { ...other, alpha_3: 'QQC', numeric_code: 'QQC' }]).select())
    assert.deepEqual(sorted(merged.data, 'alpha_3').map((row) => row.name), ['b', 'b'])
    const ignored = await ok(
      table().upsert({ ...other, name: 'z' }, { ignoreDuplicates: true, onConflict: 'numeric_code' }).select(),
    )
    assert.deepEqual(ignored.data, [])
    const found = await ok(table().select().like('alpha_3', 'QQ_').order('alpha_3'))
    assert.deepEqual(found.data, [currency, other, { ...other, alpha_3: 'QQC', numeric_code: 'QQC' }])
    const gone = await ok(table().delete({ count: 'exact' }).like('alpha_3', 'QQ_'))
    assert.equal(gone.count, 3)
    assert.equal(gone.status, 204)
    assert.deepEqual(await readAll('currencies'), sorted(source.currencies, 'alpha_3'))
  })

  test('a column of another type is sent and read back', async () => {
    const change = { visits: 2 ** 52, open: false, surveyed_on: '2024-02-29', changed_at: '2024-02-29T23:59:59.125+05:45' }
    const { data } = await ok(service.from('airports').update(change).eq('iata', 'KEF').select().single())
    assert.deepEqual(
      { visits: data.visits, open: data.open, surveyed_on: data.surveyed_on },
      { visits: 2 ** 52, open: false, surveyed_on: '2024-02-29' },
    )
    assert.equal(instant(data.changed_at), instant(change.changed_at))
    await ok(service.from('airports').update({ visits: 0, open: null, surveyed_on: null }).eq('iata', 'KEF'))
  })

  const refusals = {
    'a duplicate key': [409, '23505', () => service.from('currencies').insert(source.currencies[0])],
    'a missing parent': [409, '23503', () => service.from('airports').update({ country: 'XK' }).eq('iata', 'KEF')],
    'a failed check': [400, '23514', () => service.from('airports').update({ latitude: -91 }).eq('iata', 'KEF')],
    'a null': [400, '23502', () => service.from('airports').update({ name: null }).eq('iata', 'KEF')],
    'a wrong type': [400, '22P02', () => service.from('airports').update({ visits: 'x' }).eq('iata', 'KEF')],
    'an unknown table': [404, 'PGRST205', () => service.from('contries').select()],
    'an unknown column': [400, '42703', () => service.from('countries').select('capital')],
    'an unknown column in a row': [400, 'PGRST204', () => service.from('countries').insert({ capital: 'Oslo' })],
    'a range past the end': [
      416,
      'PGRST103',
      () => service.from('countries').select('*', { count: 'exact' }).range(1000, 1010),
    ],
  }
  for (const [name, [status, code, send]] of Object.entries(refusals)) {
    test(`refused: ${name}`, async () => {
      await refused(send(), status, code)
    })
  }

  test('an anonymous key gets nothing', async () => {
    const answer = await connect(anonKey).from('countries').select()
    assert.equal(answer.data, null)
    assert.deepEqual([answer.status, answer.error.code], [401, '42501'])
  })
})
