/**
 * The gallery: every finished picture, however many there are, a page at a time.
 *
 * A Shelf is what a filter finds up to a moment: new pictures do not move it. Its pages are found
 * by the last row before them that is known, so that going on reads no row twice and a jump into
 * the middle works too; and pages that are far away are let go.
 */
import { keepPreviousData, useQueries, useQuery } from '@tanstack/react-query'
import { useEffect, useMemo, useRef } from 'react'
import { watch } from '@/realtime'
import { cache } from './cache'
import { theClient } from './client'
import { keys } from './keys'
import { dataOf, Refusal } from './refusal'
import type { Generation } from './rows'
import { theUserId } from './session'

export const PAGE_ROWS = 100
/** How many pages at each side of what is seen are kept. */
const PAGES_NEAR = 4
const REMOVED_AT_ONCE_MAX = 100

export interface GalleryFilter {
  text?: string
  project?: string
  /** A model's id, or `provider:` and a provider's name. */
  made?: string
  media?: 'image' | 'video'
  batch?: number
  job?: string
  /** Days, YYYY-MM-DD, both included. */
  from?: string
  to?: string
}

export interface Shelf {
  filter: GalleryFilter
  /** Nothing newer is on it; ISO 8601, empty while nobody knows. */
  until: string
}

interface Mark {
  at: string
  id: string
}

/** The last row of each page that was read, by shelf. */
const marks = new Map<string, Map<number, Mark>>()
const SHELVES_REMEMBERED_MAX = 8

const keyOf = (shelf: Shelf) => [...keys.gallery, shelf] as const
const pageKey = (shelf: Shelf, page: number) => [...keyOf(shelf), page] as const

/** When the newest picture was made, by the server's clock; null when there is none at all. */
export function useNewest() {
  return useQuery({
    queryKey: [...keys.gallery, 'newest'],
    staleTime: 0,
    queryFn: readNewest,
  })
}

async function readNewest(): Promise<string | null> {
  const asked = theClient().from('generations').select('created_at').eq('status', 'completed')
  const rows = await dataOf<{ created_at: string }[]>(
    asked.order('created_at', { ascending: false }).limit(1),
  )
  return rows[0]?.created_at ?? null
}

/** How many pictures are on the shelf. */
export function useShelfCount(shelf: Shelf) {
  return useQuery({
    queryKey: [...keyOf(shelf), 'count'],
    enabled: shelf.until !== '',
    staleTime: Number.POSITIVE_INFINITY,
    placeholderData: keepPreviousData,
    queryFn: async ({ signal }) => {
      const counted = theClient().from('generations').select('id', { count: 'exact' }).limit(1)
      const { count, error } = await narrowed(counted, shelf).abortSignal(signal)
      if (error) await dataOf(Promise.resolve({ data: null, error }))
      return count ?? 0
    },
  })
}

/** The pages `first` to `last`, and what is on them by its place on the shelf. */
export function useShelfPages(shelf: Shelf, first: number, last: number) {
  const wanted = useMemo(
    () => Array.from({ length: Math.max(0, last - first + 1) }, (_, at) => first + at),
    [first, last],
  )
  const pages = useQueries({
    queries: wanted.map((page) => ({
      queryKey: pageKey(shelf, page),
      staleTime: Number.POSITIVE_INFINITY,
      queryFn: ({ signal }: { signal: AbortSignal }) => readPage(shelf, page, signal),
    })),
    combine: (results) => ({
      rows: results.map(({ data }) => data),
      error: results.find(({ error }) => error)?.error ?? null,
      retry: () => {
        for (const result of results) if (result.error) void result.refetch()
      },
    }),
  })
  useEffect(() => letGo(shelf, first, last), [shelf, first, last])
  // What stood there before a new picture came is shown until it is known what does now.
  const stood = useRef<ReadonlyMap<number, Generation[]>>(new Map())
  const standing = new Map<number, Generation[]>()
  wanted.forEach((page, place) => {
    const rows = pages.rows[place] ?? stood.current.get(page)
    if (rows) standing.set(page, rows)
  })
  useEffect(() => {
    stood.current = standing
  })
  const at = (index: number): Generation | undefined =>
    standing.get(Math.floor(index / PAGE_ROWS))?.[index % PAGE_ROWS]
  return { at, error: pages.error, retry: pages.retry }
}

/** The pictures from one place to another, read if they are not known. */
export async function picturesBetween(shelf: Shelf, from: number, to: number) {
  const found: Generation[] = []
  const [first, last] = [Math.floor(from / PAGE_ROWS), Math.floor(to / PAGE_ROWS)]
  for (let page = first; page <= last; page += 1) {
    const rows = await cache.fetchQuery({
      queryKey: pageKey(shelf, page),
      staleTime: Number.POSITIVE_INFINITY,
      queryFn: ({ signal }) => readPage(shelf, page, signal),
    })
    const start = page * PAGE_ROWS
    found.push(...rows.slice(Math.max(0, from - start), to - start + 1))
  }
  return found
}

/** Removes pictures for good; returns the ids of those that a job under way keeps. */
export async function removePictures(ids: readonly string[]): Promise<string[]> {
  const kept: string[] = []
  for (let at = 0; at < ids.length; at += REMOVED_AT_ONCE_MAX) {
    const body = { ids: ids.slice(at, at + REMOVED_AT_ONCE_MAX) }
    try {
      const answer = await dataOf<{ underWay: string[] }>(
        theClient().functions.invoke('delete-generation', { body }),
      )
      kept.push(...answer.underWay)
    } catch (error) {
      // Gone already, in another tab.
      const isGone = error instanceof Refusal && error.code === 'generation_not_found'
      if (!isGone) throw error
    }
  }
  await readAgain()
  return kept
}

function readAgain(): Promise<void> {
  marks.clear()
  return cache.invalidateQueries({ queryKey: keys.gallery })
}

/**
 * Calls `onNew` with each picture that is finished and not on the shelf, or may have been missed.
 * What went in another tab is noticed when this one is looked at again.
 */
export function useFinishedPictures(shelf: Shelf, onNew: (id: string) => void) {
  const userId = theUserId()
  const { until } = shelf
  useEffect(() => {
    const isNew = (at: unknown) => Date.parse(String(at)) > Date.parse(until)
    // What was finished while nobody listened.
    const look = () =>
      readNewest()
        .then((newest) => newest && isNew(newest) && onNew(newest))
        .catch(() => {})
    const onVisible = () => {
      if (document.visibilityState === 'visible') void readAgain()
    }
    document.addEventListener('visibilitychange', onVisible)
    const stop = watch(
      theClient(),
      { table: 'generations', column: 'user_id', value: userId },
      {
        onRow: (row) => {
          if (row.status === 'completed' && isNew(row.created_at)) onNew(String(row.id))
        },
        // Of what goes, a change tells no more than its id, and so not whose it was.
        onGone: () => {},
        onLive: () => void look(),
        onAway: () => {},
      },
    )
    return () => {
      document.removeEventListener('visibilitychange', onVisible)
      stop()
    }
  }, [userId, until, onNew])
}

async function readPage(shelf: Shelf, page: number, signal: AbortSignal): Promise<Generation[]> {
  const known = marksOf(shelf)
  let before = page - 1
  while (before >= 0 && !known.has(before)) before -= 1
  const mark = known.get(before)
  let asked = narrowed(theClient().from('generations').select('*'), shelf)
  if (mark)
    asked = asked.or(`created_at.lt."${mark.at}",and(created_at.eq."${mark.at}",id.lt.${mark.id})`)
  const skipped = (page - 1 - before) * PAGE_ROWS
  const rows = await dataOf<Generation[]>(
    asked
      .order('created_at', { ascending: false })
      .order('id', { ascending: false })
      .range(skipped, skipped + PAGE_ROWS - 1)
      .abortSignal(signal),
  )
  const last = rows.at(-1)
  if (last && rows.length === PAGE_ROWS) known.set(page, { at: last.created_at, id: last.id })
  return rows
}

function marksOf(shelf: Shelf): Map<number, Mark> {
  const name = JSON.stringify(shelf)
  const known = marks.get(name)
  if (known) return known
  if (marks.size >= SHELVES_REMEMBERED_MAX) marks.clear()
  const made = new Map<number, Mark>()
  marks.set(name, made)
  return made
}

function letGo(shelf: Shelf, first: number, last: number): void {
  const within = JSON.stringify(shelf)
  cache.removeQueries({
    queryKey: keys.gallery,
    type: 'inactive',
    predicate: ({ queryKey }) => {
      const [, , of, page] = queryKey
      if (typeof page !== 'number') return false
      if (JSON.stringify(of) !== within) return true
      return page < first - PAGES_NEAR || page > last + PAGES_NEAR
    },
  })
}

/** The part of a PostgREST request that a filter speaks; its whole type is too deep to follow. */
interface Narrowing {
  eq: (column: string, value: string | number) => Narrowing
  gte: (column: string, value: string) => Narrowing
  lt: (column: string, value: string) => Narrowing
  lte: (column: string, value: string) => Narrowing
  ilike: (column: string, pattern: string) => Narrowing
}

function narrowed<Q>(query: Q, { filter, until }: Shelf): Q {
  let asked = query as unknown as Narrowing
  const { text, project, made, media, batch, job, from, to } = filter
  asked = asked.eq('status', 'completed').lte('created_at', until)
  if (text) asked = asked.ilike('prompt', patternOf(text))
  if (project) asked = asked.eq('project_id', project)
  if (made?.startsWith('provider:')) asked = asked.eq('provider', made.slice('provider:'.length))
  else if (made) asked = asked.eq('model', made)
  if (media) asked = asked.eq('media_type', media)
  if (batch) asked = asked.eq('batch_id', batch)
  if (job) asked = asked.eq('job_id', job)
  if (from) asked = asked.gte('created_at', startOf(from, 0))
  if (to) asked = asked.lt('created_at', startOf(to, 1))
  return asked as unknown as Q
}

/** The text anywhere. PostgREST takes a `*` for a wildcard, so it stands for any character here. */
const patternOf = (text: string) => `%${text.replace(/[\\%_]/g, '\\$&').replace(/\*/g, '_')}%`

/** Midnight of the reader's day, so many days later. */
function startOf(day: string, later: number): string {
  const date = new Date(`${day}T00:00`)
  date.setDate(date.getDate() + later)
  return date.toISOString()
}
