/**
 * What changed in a table?
 *
 * One channel per subject, however many watch it. `onLive` is called whenever the channel has come
 * up, the first time included: whoever watches reads then what it missed, since a change is told
 * only while somebody listens. Of a row that is gone the server tells the primary key alone, so no
 * filter can match it: `onGone` may be called for rows that are none of the subject's.
 */
import type { RealtimeChannel, SupabaseClient } from '@supabase/supabase-js'

export interface Subject {
  table: string
  column?: string
  value?: string
}

export interface Watcher {
  onRow: (row: Record<string, unknown>) => void
  onGone: (old: Record<string, unknown>) => unknown
  onLive: () => void
  onAway: () => void
}

interface Shared {
  channel: RealtimeChannel
  watchers: Set<Watcher>
  isLive: boolean
}

const shared = new Map<string, Shared>()

/** Tells `watcher` of every change until the function it returns is called. */
export function watch(client: SupabaseClient, subject: Subject, watcher: Watcher): () => void {
  const name = [subject.table, subject.column, subject.value].filter(Boolean).join(':')
  const open = shared.get(name) ?? join(client, name, subject)
  open.watchers.add(watcher)
  if (open.isLive) watcher.onLive()
  return () => {
    open.watchers.delete(watcher)
    if (open.watchers.size > 0) return
    if (shared.get(name) === open) shared.delete(name)
    void client.removeChannel(open.channel)
  }
}

function join(client: SupabaseClient, name: string, subject: Subject): Shared {
  const filter = subject.column ? { filter: `${subject.column}=eq.${subject.value}` } : {}
  const watchers = new Set<Watcher>()
  const open: Shared = { channel: client.channel(`rows:${name}`), watchers, isLive: false }
  shared.set(name, open)
  const rows = { schema: 'public', table: subject.table }
  const tell = (change: { new: object }) => {
    for (const watcher of watchers) watcher.onRow(change.new as Record<string, unknown>)
  }
  open.channel
    .on('postgres_changes', { event: 'INSERT', ...rows, ...filter }, tell)
    .on('postgres_changes', { event: 'UPDATE', ...rows, ...filter }, tell)
    .on('postgres_changes', { event: 'DELETE', ...rows }, (change) => {
      for (const watcher of watchers) watcher.onGone(change.old)
    })
    .subscribe((state) => {
      open.isLive = state === 'SUBSCRIBED'
      for (const watcher of watchers) open.isLive ? watcher.onLive() : watcher.onAway()
    })
  return open
}
