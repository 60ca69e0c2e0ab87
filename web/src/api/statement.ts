/** The statement: every entry of the ledger with its job, and what is held for jobs under way. */
import { useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { theClient } from './client'
import { keys } from './keys'
import { dataOf } from './refusal'
import type { CreditEntry, Job } from './rows'

const ENTRIES_PAGE = 50
const ENTRIES_AT_ONCE = 500
const JOBS_AT_ONCE = 100
const OPEN_HOLDS_MAX = 50

/** The statement, newest first, a page at a time; of one kind of entry, or of all. */
export function useEntries(kind?: CreditEntry['kind']) {
  return useInfiniteQuery({
    queryKey: [...keys.entries, kind ?? 'all'],
    initialPageParam: null as number | null,
    queryFn: ({ pageParam }) => readEntries(kind, pageParam, ENTRIES_PAGE),
    getNextPageParam: (page) => (page.length < ENTRIES_PAGE ? undefined : page.at(-1)?.id),
  })
}

/** What a line of the statement says of its job. */
export type EntryJob = Pick<
  Job,
  'id' | 'prompt' | 'job_type' | 'status' | 'result_count' | 'identity_id'
> & {
  /** Null where it has no identity, or that is gone. */
  identityName: string | null
}

export type ToldEntry = CreditEntry & { job: EntryJob | null }

/** Every entry of a kind, or of all, newest first. */
export async function allEntries(kind?: CreditEntry['kind']): Promise<ToldEntry[]> {
  const found: ToldEntry[] = []
  for (;;) {
    const before = found.at(-1)?.id ?? null
    const entries = await readEntries(kind, before, ENTRIES_AT_ONCE)
    found.push(...entries)
    if (entries.length < ENTRIES_AT_ONCE) return found
  }
}

async function readEntries(
  kind: CreditEntry['kind'] | undefined,
  before: number | null,
  limit: number,
): Promise<ToldEntry[]> {
  let asked = theClient().from('credit_entries').select('*')
  if (kind) asked = asked.eq('kind', kind)
  if (before !== null) asked = asked.lt('id', before)
  const newest = asked.order('id', { ascending: false }).limit(limit)
  const entries = await dataOf<CreditEntry[]>(newest)
  const jobs = await jobsOf(entries)
  return entries.map((entry) => ({ ...entry, job: jobs.get(entry.hold_id ?? '') ?? null }))
}

async function jobsOf(entries: readonly CreditEntry[]): Promise<Map<string, EntryJob>> {
  const ids = [...new Set(entries.flatMap(({ hold_id }) => hold_id ?? []))]
  const jobs: Omit<EntryJob, 'identityName'>[] = []
  // The ids stand in the address, which has an end.
  for (let at = 0; at < ids.length; at += JOBS_AT_ONCE)
    jobs.push(
      ...(await dataOf<EntryJob[]>(
        theClient()
          .from('jobs')
          .select('id, prompt, job_type, status, result_count, identity_id')
          .in('id', ids.slice(at, at + JOBS_AT_ONCE)),
      )),
    )
  const names = await namesOf(jobs.filter(isTraining).flatMap((job) => job.identity_id ?? []))
  return new Map(
    jobs.map((job) => [job.id, { ...job, identityName: names.get(job.identity_id ?? '') ?? null }]),
  )
}

export const isTraining = (job: Pick<Job, 'job_type'>) => job.job_type === 'train_identity'

async function namesOf(ids: readonly string[]): Promise<Map<string, string>> {
  if (ids.length === 0) return new Map()
  const asked = theClient().from('trained_identities').select('id, identity_name')
  const rows = await dataOf<{ id: string; identity_name: string }[]>(asked.in('id', [...ids]))
  return new Map(rows.map((row) => [row.id, row.identity_name]))
}

export interface OpenHold {
  job: Job
  /** Of the identity that is trained. */
  identityName: string | null
  /** What is still held for it. */
  held: number
}

/** The jobs under way, each with what is held for it. */
export function useOpenHolds() {
  return useQuery({
    queryKey: [...keys.entries, 'open'],
    queryFn: async (): Promise<OpenHold[]> => {
      const under = theClient().from('jobs').select('*').in('status', ['queued', 'processing'])
      const jobs = await dataOf<Job[]>(
        under.order('created_at', { ascending: false }).limit(OPEN_HOLDS_MAX),
      )
      if (jobs.length === 0) return []
      const holds = await dataOf<CreditEntry[]>(
        theClient()
          .from('credit_entries')
          .select('*')
          .in(
            'hold_id',
            jobs.map(({ id }) => id),
          ),
      )
      const trained = jobs.filter(isTraining).flatMap((job) => job.identity_id ?? [])
      const names = await namesOf(trained)
      return jobs.map((job) => ({
        job,
        identityName: names.get(job.identity_id ?? '') ?? null,
        held: holds
          .filter(({ hold_id }) => hold_id === job.id)
          .reduce((sum, { kind, amount }) => sum + (kind === 'hold' ? amount : -amount), 0),
      }))
    },
  })
}
