// What the gazetteer's tests share: the source's rows, a client with the service's key, and how answers are compared.
// Needs KERNEL_URL, KERNEL_SERVICE_KEY, KERNEL_ANON_KEY and KERNEL_SOURCE, a JSON file of rows by table.
import assert from 'node:assert/strict'
import { readFileSync } from 'node:fs'
import { createClient } from '@supabase/supabase-js'
import ws from 'ws'

export const { KERNEL_URL: url, KERNEL_SERVICE_KEY: serviceKey, KERNEL_ANON_KEY: anonKey } = process.env
export const source = JSON.parse(readFileSync(process.env.KERNEL_SOURCE, 'utf8'))

export const connect = (key, fetch = globalThis.fetch) =>
  createClient(url, key, {
    auth: { persistSession: false, autoRefreshToken: false },
    realtime: { transport: ws },
    global: { fetch },
  })
export const service = connect(serviceKey)

export const compare = (a, b) => (a < b ? -1 : a > b ? 1 : 0)
export const sorted = (rows, key) => [...rows].sort((a, b) => compare(a[key], b[key]))
export const index = (rows, key) => new Map(rows.map((row) => [row[key], row]))

export async function ok(query) {
  const answer = await query
  assert.equal(answer.error, null, JSON.stringify(answer.error))
  return answer
}

export async function refused(query, status, code) {
  const answer = await query
  assert.deepEqual([answer.status, answer.error?.code], [status, code], JSON.stringify(answer))
  assert.ok(answer.error.message)
  return answer.error
}
