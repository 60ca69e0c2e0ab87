/**
 * Rows that keep themselves right: read once, then told of changes, and repaired by `seq` whenever
 * something may have been missed: the channel came up again, the machine woke, the network is
 * back. What is gone has no `seq` to be found by: then the ids are read again as well. While a row
 * is under way they are also polled, slowly if the channel is up.
 */
import { useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useState } from 'react'
import {
  bury,
  type Dated,
  forget,
  goneFrom,
  type Known,
  living,
  merge,
  nothing,
  type Row,
  type Subject,
  since,
  watch,
} from '@/realtime'
import { whenBack } from './back'
import { cache } from './cache'
import { theClient } from './client'
import { dataOf } from './refusal'

const POLL_MS_LIVE = 20_000
const POLL_MS_AWAY = 4_000
const REPAIR_ROWS_MAX = 1000

interface LiveRowsOptions<R> {
  key: readonly unknown[]
  subject: Subject
  /** The columns, as PostgREST has them. */
  select?: string
  /** The newest so many are read at first. */
  rowsMax: number
  /** Whether a row will change by itself. */
  isOpen?: (row: R) => boolean
  enabled?: boolean
}

export interface LiveRows<R> {
  /** Newest first. */
  rows: R[]
  isPending: boolean
  error: Error | null
  /** Whether changes are being told. */
  isLive: boolean
  repair: () => Promise<void>
}

export function useLiveRows<R extends Dated>(options: LiveRowsOptions<R>): LiveRows<R> {
  const { key, subject, rowsMax, isOpen, select = '*', enabled = true } = options
  const { table, column, value } = subject
  const [isLive, setLive] = useState(false)
  const name = JSON.stringify(key)
  const query = useQuery({
    queryKey: key,
    enabled,
    structuralSharing: false,
    staleTime: Number.POSITIVE_INFINITY,
    queryFn: async () => {
      const read = await newest<R>({ table, column, value }, select, rowsMax)
      return merge(cache.getQueryData<Known<R>>(key) ?? nothing<R>(), living(table, read))
    },
  })

  const repair = useMemo(
    () => async () => {
      const known = cache.getQueryData<Known<R>>(key)
      // The first reading failed, or is still under way.
      if (!known) return cache.refetchQueries({ queryKey: key, exact: true })
      const missed = await changedSince<R>({ table, column, value }, select, since(known))
      cache.setQueryData<Known<R>>(key, (now) => merge(now ?? nothing<R>(), living(table, missed)))
    },
    [name, table, column, value, select],
  )

  /** Repairs, and forgets what was known before and is not there any more. */
  const renew = useMemo(
    () => async () => {
      const before = cache.getQueryData<Known<R>>(key)
      await repair()
      if (!before?.rows.size) return
      const columns = 'id, seq, created_at'
      const there = await newest<Dated>({ table, column, value }, columns, rowsMax)
      const gone = goneFrom(before.rows.values(), there, rowsMax).map(({ id }) => id)
      if (gone.length) cache.setQueryData<Known<R>>(key, (now) => now && forget(now, gone))
    },
    [name, table, column, value, rowsMax, repair],
  )

  const isRead = query.isSuccess
  useEffect(() => {
    // Before the first reading is there, what is told has no place yet.
    if (!enabled || !isLive || !isRead) return
    void renew().catch(() => {})
  }, [enabled, isLive, isRead, renew])

  useEffect(() => {
    if (!enabled) return
    const stop = watch(
      theClient(),
      { table, column, value },
      {
        onRow: (row) =>
          cache.setQueryData<Known<R>>(
            key,
            (known) => known && merge(known, [row as unknown as R]),
          ),
        onGone: (old) => {
          bury(table, String(old.id))
          cache.setQueryData<Known<R>>(key, (known) => known && forget(known, [String(old.id)]))
        },
        onLive: () => setLive(true),
        onAway: () => setLive(false),
      },
    )
    const leave = whenBack(() => void renew().catch(() => {}))
    return () => {
      stop()
      leave()
    }
  }, [name, table, column, value, enabled, renew])

  const rows = useMemo(
    () =>
      [...(query.data?.rows.values() ?? [])].sort(
        (one, other) => other.created_at.localeCompare(one.created_at) || other.seq - one.seq,
      ),
    [query.data],
  )
  const mayChange = isOpen ? rows.some(isOpen) : false
  useEffect(() => {
    if (!mayChange) return
    const every = isLive ? POLL_MS_LIVE : POLL_MS_AWAY
    const timer = setInterval(() => void repair().catch(() => {}), every)
    return () => clearInterval(timer)
  }, [mayChange, isLive, repair])

  return { rows, isPending: query.isPending, error: query.error, isLive, repair }
}

/** Puts a row in before the server has told of it; its `seq` is 0, so that any real one wins. */
export function expectRow<R extends Row>(key: readonly unknown[], row: R): void {
  cache.setQueryData<Known<R>>(key, (known) => merge(known ?? nothing<R>(), [row]))
}

async function newest<R>(subject: Subject, select: string, limit: number): Promise<R[]> {
  let asked = theClient().from(subject.table).select(select)
  if (subject.column) asked = asked.eq(subject.column, subject.value)
  return dataOf<R[]>(asked.order('created_at', { ascending: false }).limit(limit))
}

async function changedSince<R extends Row>(
  subject: Subject,
  select: string,
  from: number,
): Promise<R[]> {
  const found: R[] = []
  for (let seq = from; ; ) {
    let asked = theClient().from(subject.table).select(select).gt('seq', seq)
    if (subject.column) asked = asked.eq(subject.column, subject.value)
    const rows = await dataOf<R[]>(asked.order('seq').limit(REPAIR_ROWS_MAX))
    found.push(...rows)
    const last = rows.at(-1)
    if (!last || rows.length < REPAIR_ROWS_MAX) return found
    seq = last.seq
  }
}
