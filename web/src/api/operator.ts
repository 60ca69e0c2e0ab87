/** What operators see of everybody, and do: the views and acts of the function `operator`. */
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { create } from 'zustand'
import { cache } from './cache'
import { theClient } from './client'
import { keys } from './keys'
import type { Granted, Outcome, Views } from './operator-rows'
import { dataOf } from './refusal'
import { theUserId, useIsOperator, useUser } from './session'

// The server takes no more at once.
const JOBS_AT_ONCE = 500
export const PAGE_ROWS = 50

type Asked = Record<string, string | number | null | undefined>

interface Held {
  /** A service key, for this tab's life alone; and whose it was. */
  key: string | null
  userId: string | null
}

const useHeld = create<Held>(() => ({ key: null, userId: null }))

/** Whether the console opens: to operators by their token, to others by the service key. */
export function useMayOperate(): boolean {
  const userId = useUser()?.id
  const isOperator = useIsOperator()
  const holdsKey = useHeld((held) => held.key !== null && held.userId === userId)
  return isOperator || holdsKey
}

export const useHoldsKey = (): boolean => useHeld((held) => held.key !== null)

/** Keeps the service key in memory once the server has taken it. Throws a Refusal otherwise. */
export async function holdKey(key: string): Promise<void> {
  await dataOf(invoke({ view: 'overview' }, key))
  useHeld.setState({ key, userId: theUserId() })
}

export function dropKey(): void {
  useHeld.setState({ key: null, userId: null })
  cache.removeQueries({ queryKey: ['operator'] })
}

function invoke(body: Record<string, unknown>, key: string | null) {
  const headers = key ? { Authorization: `Bearer ${key}` } : undefined
  return theClient().functions.invoke('operator', { body, headers })
}

function ask<T>(body: Record<string, unknown>): Promise<T> {
  const { key, userId } = useHeld.getState()
  return dataOf<T>(invoke(body, userId === theUserId() ? key : null))
}

/** One view; asked for again every so many milliseconds while the page is in sight. */
export function useView<V extends keyof Views>(view: V, asked: Asked = {}, every?: number) {
  return useQuery({
    queryKey: keys.operator(view, asked),
    staleTime: 0,
    refetchInterval: every ?? false,
    placeholderData: keepPreviousData,
    queryFn: () => ask<Views[V]>({ view, ...asked }),
  })
}

type Paged = 'jobs' | 'logs' | 'users'

/** A view that is read a page at a time, each page from where the one before ended. */
export function usePages<V extends Paged>(view: V, asked: Asked, every?: number) {
  const place = view === 'users' ? 'offset' : 'before'
  return useInfiniteQuery({
    queryKey: keys.operator(view, asked),
    staleTime: 0,
    initialPageParam: null as string | number | null,
    placeholderData: keepPreviousData,
    // Only the newest rows change; whoever reads further back is left in peace.
    refetchInterval: (query) => (query.state.data?.pages.length === 1 ? (every ?? false) : false),
    queryFn: ({ pageParam }) =>
      ask<Views[V]>({
        view,
        limit: PAGE_ROWS,
        ...asked,
        ...(pageParam === null ? {} : { [place]: pageParam }),
      }),
    getNextPageParam: (page: Views[V]) => page.next ?? undefined,
  })
}

async function act<T>(name: string, asked: Record<string, unknown>): Promise<T> {
  try {
    return await ask<T>({ act: name, ...asked })
  } finally {
    void cache.invalidateQueries({ queryKey: ['operator'] })
  }
}

export type JobAct = 'cancel' | 'requeue' | 'retry_now'

/** Acts on each of the jobs, and tells what became of each. */
export async function actOnJobs(name: JobAct, jobIds: readonly string[]): Promise<Outcome[]> {
  const told: Outcome[] = []
  for (let first = 0; first < jobIds.length; first += JOBS_AT_ONCE) {
    const some = jobIds.slice(first, first + JOBS_AT_ONCE)
    told.push(...(await act<{ outcomes: Outcome[] }>(name, { jobIds: some })).outcomes)
  }
  return told
}

/** A `reference` counts once, however often it is sent. */
export const grant = (asked: { user: string; amount: number; note?: string; reference: string }) =>
  act<Granted>('grant', asked)

export const unpause = (provider: string, model: string) => act('unpause', { provider, model })

export const revokeWorker = (name: string) => act('revoke_worker', { name })
