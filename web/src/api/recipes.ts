/** What was a picture made from, and what did it cost? */
import { useQuery } from '@tanstack/react-query'
import { theClient } from './client'
import { keys } from './keys'
import { dataOf } from './refusal'
import type { Job } from './rows'

export interface Origin {
  /** Null once it is gone. */
  job: Job | null
  /** Of one picture. */
  credits: number | null
}

/** The job of a picture and the price of one of its pictures. */
export function useOrigin(jobId: string | null) {
  return useQuery({
    queryKey: [...keys.job(jobId ?? ''), 'origin'],
    enabled: jobId !== null,
    queryFn: async (): Promise<Origin> => {
      const [job, hold] = await Promise.all([
        dataOf<Job | null>(theClient().from('jobs').select('*').eq('id', jobId).maybeSingle()),
        dataOf<{ amount: number; units: number } | null>(
          theClient()
            .from('credit_entries')
            .select('amount, units')
            .eq('hold_id', jobId)
            .eq('kind', 'hold')
            .maybeSingle(),
        ),
      ])
      return { job, credits: hold && Math.round(hold.amount / Math.max(1, hold.units)) }
    },
  })
}

/** The pictures that a job was given to go by, as far as they lie on this server. */
export function referencesOf(job: Job): { bucket: string; path: string }[] {
  const names = job.payload.references
  if (!Array.isArray(names)) return []
  return names.flatMap((name) => {
    const [bucket = '', ...rest] = String(name)
      .replace(/^storage:/, '')
      .split('/')
    return rest.length && !bucket.includes(':') ? [{ bucket, path: rest.join('/') }] : []
  })
}
