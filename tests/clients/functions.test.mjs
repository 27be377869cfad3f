// The gazetteer's functions, called through @supabase/supabase-js by POST and by GET.
import assert from 'node:assert/strict'
import { afterEach, describe, test } from 'node:test'
import { index, ok, refused, service, sorted, source } from './gazetteer.mjs'

const countries = index(source.countries, 'alpha_2')
const codes = (rows) => sorted(rows, 'iata').map((row) => row.iata)

for (const get of [false, true]) {
  const call = (name, values, options) => service.rpc(name, values, { get, ...options })

  describe(get ? 'by GET' : 'by POST', () => {
    test('one value stands bare', async () => {
      const expected = source.airports.filter((row) => row.country === 'BR').length
      assert.equal((await ok(call('airports_in', { country: 'BR' }))).data, expected)
    })

    test('a set of rows is filtered, ordered, cut and counted as a table is', async () => {
      const rows = source.airports.filter((row) => row.latitude >= 60 && row.latitude < 66 && row.country !== 'US')
      const expected = sorted(rows, 'iata').sort((a, b) => b.latitude - a.latitude)
      const query = call('airports_between', { south: 60, north: 66 }, { count: 'exact' })
      const { data, count } = await ok(
        query
          .select('iata, countries(name)')
          .neq('country', 'US')
          .order('latitude', { ascending: false })
          .order('iata')
          .range(10, 29),
      )
      assert.deepEqual(
        data,
        expected.slice(10, 30).map((row) => ({
          iata: row.iata,
          countries: { name: countries.get(row.country).name },
        })),
      )
      assert.equal(count, expected.length)
    })

    test('an argument left out has its default', async () => {
      const { data } = await ok(call('airports_between', { south: 70, north: undefined }).select('iata').order('iata'))
      assert.deepEqual(data.map((row) => row.iata), codes(source.airports.filter((row) => row.latitude >= 70)))
    })

    test('lists and documents are arguments', async () => {
      const among = source.airports.filter((_, number) => number % 50 === 0)
      const options = { lowest: 1000.5, countries: ['US', 'CN'] }
      // What is no list goes into a query string as it prints itself.
      const values = { codes: among.map((row) => row.iata), options: get ? JSON.stringify(options) : options }
      const expected = among.filter((row) => row.elevation >= 1000.5 && ['US', 'CN'].includes(row.country))
      const { data } = await ok(call('airports_among', values).select('iata').order('iata'))
      assert.deepEqual(data.map((row) => row.iata), codes(expected))
      assert.ok(expected.length > 0 && expected.length < among.length)
    })

    test('single and maybeSingle', async () => {
      const north = (values) => call('airports_between', values).select('iata')
      const top = source.airports.reduce((a, b) => (b.latitude > a.latitude ? b : a))
      const { data } = await ok(north({ south: 60 }).order('latitude', { ascending: false }).limit(1).single())
      assert.deepEqual(data, { iata: top.iata })
      assert.equal((await ok(north({ south: 89 }).maybeSingle())).data, null)
      await refused(north({ south: 89 }).single(), 406, 'PGRST116')
      await refused(north({ south: 70 }).maybeSingle(), 406, 'PGRST116')
    })

    test('a call that cannot be is refused', async () => {
      await refused(call('airports_between', { south: 'pole' }), 400, '22P02')
      await refused(call('airports_between', {}), 404, 'PGRST202')
      await refused(call('airport_in', { country: 'IS' }), 404, 'PGRST202')
    })
  })
}

test('rows are counted without any being sent', async () => {
  const { data, count } = await ok(service.rpc('airports_between', { south: 70 }, { head: true, count: 'exact' }))
  assert.equal(data, null)
  assert.equal(count, source.airports.filter((row) => row.latitude >= 70).length)
})

describe('functions that write', () => {
  const notes = () => service.from('notes')
  afterEach(() => ok(notes().delete().gte('id', 0)))

  test('write by POST, and not by GET', async () => {
    const values = { airport: 'KEF', body: 'Wind, "rain" & 雪' }
    await refused(service.rpc('note', values, { get: true }), 405, '25006')
    assert.deepEqual((await ok(notes().select())).data, [])
    const { airport, body, stars } = (await ok(service.rpc('note', values))).data
    assert.deepEqual({ airport, body, stars }, { ...values, stars: 3 })
    const other = await ok(service.rpc('note', { ...values, stars: null }).select('stars, airports(iata)'))
    assert.deepEqual(other.data, { stars: null, airports: { iata: 'KEF' } })
    assert.equal((await ok(notes().select())).data.length, 2)
    const { data, status } = await ok(service.rpc('forget_notes', { airport: 'KEF' }))
    assert.deepEqual([data, status], [null, 204])
    assert.deepEqual((await ok(notes().select())).data, [])
  })

  test('leave nothing behind when they are refused', async () => {
    await refused(service.rpc('note', { airport: 'KEF', body: '' }), 400, '23514')
    await refused(service.rpc('note', { airport: 'XXX', body: 'Where?' }), 409, '23503')
    assert.deepEqual((await ok(notes().select())).data, [])
  })
})
