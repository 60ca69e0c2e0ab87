/** Where is the server, and with which key does everybody begin? `/config.json` tells. */
import { createClient, type SupabaseClient } from '@supabase/supabase-js'

export interface Server {
  url: string
  anonKey: string
  version: string
}

/** After which a read or a write of rows counts as lost: a dead connection may never say so. */
const ROWS_MS_MAX = 20_000

/** `fetch`, but rows are not waited for longer than that. */
function patient(input: RequestInfo | URL, init: RequestInit = {}): Promise<Response> {
  const isOfRows = String(input instanceof Request ? input.url : input).includes('/rest/v1/')
  if (!isOfRows || init.signal) return fetch(input, init)
  return fetch(input, { ...init, signal: AbortSignal.timeout(ROWS_MS_MAX) })
}

let server: Server | null = null
let client: SupabaseClient | null = null

/** Must be awaited once, before anything else of this folder is used. */
export async function connect(): Promise<void> {
  const answer = await fetch('/config.json', { headers: { accept: 'application/json' } })
  if (!answer.ok) throw new Error(`/config.json answered ${answer.status}`)
  server = (await answer.json()) as Server
  client = createClient(server.url, server.anonKey, {
    auth: { storageKey: 'tintype.session', persistSession: true, autoRefreshToken: true },
    global: { fetch: patient },
    // Timers of a hidden tab are slowed down until the heartbeat is late; a worker's are not.
    realtime: { worker: true, heartbeatIntervalMs: 15_000, timeout: 8_000 },
  })
}

export function theClient(): SupabaseClient {
  if (!client) throw new Error('connect() first')
  return client
}

export function theServer(): Server {
  if (!server) throw new Error('connect() first')
  return server
}
