// The gazetteer's related rows through @supabase/supabase-js: joined and counted by the server as it is done here.
import assert from 'node:assert/strict'
import { describe, test } from 'node:test'
import { compare, index, ok, refused, service, sorted, source } from './gazetteer.mjs'

const from = (table, selection, options) => service.from(table).select(selection, options)
const countries = index(source.countries, 'alpha_2')
const zones = index(source.time_zones, 'name')
const alpha2 = [...countries.keys()].sort(compare)

// The values of `column` in those of `rows` whose column `key` has a value, in order.
function gather(rows, key, column) {
  const groups = new Map()
  for (const row of sorted(rows, column)) {
    if (!groups.has(row[key])) groups.set(row[key], [])
    groups.get(row[key]).push({ [column]: row[column] })
  }
  return (value) => groups.get(value) ?? []
}

describe('related rows', () => {
  test('countries with their subdivisions', async () => {
    const parts = gather(source.subdivisions, 'country', 'code')
    const query = from('countries', 'alpha_2, subdivisions(code)').order('alpha_2')
    const { data } = await ok(query.order('code', { referencedTable: 'subdivisions' }))
    assert.deepEqual(data, alpha2.map((code) => ({ alpha_2: code, subdivisions: parts(code) })))
  })

  test('subdivisions with their parent and their children', async () => {
    const known = index(source.subdivisions, 'code')
    const children = gather(source.subdivisions, 'parent', 'code')
    const query = from('subdivisions', 'code, within:parent(name), children:subdivisions(code)')
    const { data } = await ok(
      query.eq('country', 'FR').order('code').order('code', { referencedTable: 'children' }),
    )
    const expected = sorted(source.subdivisions.filter((row) => row.country === 'FR'), 'code').map((row) => ({
      code: row.code,
      within: row.parent === null ? null : { name: known.get(row.parent).name },
      children: children(row.code),
    }))
    assert.deepEqual(data, expected)
    assert.ok(expected.some((row) => row.within !== null && row.children.length === 0))
  })

  test('airports with their country, and their time zone spread', async () => {
    const { data } = await ok(
      from('airports', 'iata, land:countries(name), ...time_zones(hours_ahead)').order('iata').limit(300),
    )
    const expected = sorted(source.airports, 'iata').slice(0, 300).map((row) => ({
      iata: row.iata,
      land: { name: countries.get(row.country).name },
      hours_ahead: zones.get(row.time_zone).hours_ahead,
    }))
    assert.deepEqual(data, expected)
  })

  for (const inner of [false, true]) {
    test(`a filter on related rows, ${inner ? 'inner' : 'outer'}`, async () => {
      const airports = gather(source.airports.filter((row) => row.elevation > 8000), 'country', 'iata')
      const selection = `alpha_2, airports${inner ? '!inner' : ''}(iata)`
      const query = from('countries', selection, { count: 'exact' }).gt('airports.elevation', 8000)
      const { data, count } = await ok(query.order('alpha_2').order('iata', { referencedTable: 'airports' }))
      const expected = alpha2
        .map((code) => ({ alpha_2: code, airports: airports(code) }))
        .filter((row) => !inner || row.airports.length > 0)
      assert.deepEqual(data, expected)
      assert.equal(count, expected.length)
    })
  }

  test('either of two conditions, the first few, from the second on', async () => {
    const wanted = source.airports.filter((row) => row.elevation > 5000 || row.latitude > 70)
    const airports = gather(wanted, 'country', 'iata')
    const query = from('countries', 'alpha_2, airports!inner(iata)').order('alpha_2')
    const { data } = await ok(
      query
        .or('elevation.gt.5000,latitude.gt.70', { referencedTable: 'airports' })
        .order('iata', { referencedTable: 'airports' })
        .range(1, 2, { referencedTable: 'airports' }),
    )
    const expected = alpha2.map((code) => ({ alpha_2: code, airports: airports(code).slice(1, 3) }))
    assert.deepEqual(data, expected.filter((row) => row.airports.length > 0))
  })

  test('countries without any airport', async () => {
    const served = new Set(source.airports.map((row) => row.country))
    const { data } = await ok(from('countries', 'alpha_2, airports()').is('airports', null).order('alpha_2'))
    assert.deepEqual(data.map((row) => row.alpha_2), alpha2.filter((code) => !served.has(code)))
  })

  test('airports in the order of their zones', async () => {
    const hours = (row) => zones.get(row.time_zone).hours_ahead
    const expected = sorted(source.airports, 'iata').sort((a, b) => hours(b) - hours(a)).slice(0, 300)
    const query = from('airports', 'iata, time_zones(name)')
    const { data } = await ok(
      query.order('time_zones(hours_ahead)', { ascending: false }).order('iata').limit(300),
    )
    assert.deepEqual(data.map((row) => row.iata), expected.map((row) => row.iata))
  })
})

describe('aggregates', () => {
  test('related rows are counted for each row', async () => {
    const { data } = await ok(from('countries', 'alpha_2, airports(count)').order('alpha_2'))
    const number = (code) => source.airports.filter((row) => row.country === code).length
    assert.deepEqual(data, alpha2.map((code) => ({ alpha_2: code, airports: [{ count: number(code) }] })))
  })

  test('rows are counted, and their extremes found, by what else is selected', async () => {
    const { data } = await ok(
      from('airports', 'country, count(), low:elevation.min(), high:elevation.max()').order('country'),
    )
    const heights = new Map()
    for (const row of source.airports) {
      heights.set(row.country, [...(heights.get(row.country) ?? []), row.elevation])
    }
    const expected = [...heights].map(([country, values]) => ({
      country,
      count: values.length,
      low: Math.min(...values),
      high: Math.max(...values),
    }))
    assert.deepEqual(data, sorted(expected, 'country'))
  })
})

test('computed fields are selected, filtered and ordered by', async () => {
  const { data } = await ok(
    from('airports', 'codes, southern').eq('country', 'BR').is('southern', false).order('codes', { ascending: false }),
  )
  const northern = source.airports.filter((row) => row.country === 'BR' && row.latitude >= 0)
  const expected = northern.map((row) => ({ codes: `${row.iata}/${row.icao}`, southern: false }))
  assert.deepEqual(data, sorted(expected, 'codes').reverse())
  assert.ok(expected.length > 0)
})

test('a selection that cannot be is refused', async () => {
  await refused(from('countries', 'languages(name)'), 400, 'PGRST200')
  await refused(from('countries', 'airports(altitude)'), 400, '42703')
  await refused(from('countries', 'airports(iata'), 400, 'PGRST100')
})
