/**
 * What is a job doing, as its person sees it?
 *
 * The rows say everything: a page that is opened in the middle shows the same as one that watched
 * from the start. `phaseOf` reads them; `passage` says which step between two readings is news.
 */
export type Phase =
  | { is: 'sending'; again: boolean }
  | { is: 'queued'; position: number | null }
  | { is: 'retrying'; turn: number; at: string | null }
  | { is: 'generating'; made: number; of: number }
  | { is: 'done'; made: number; of: number }
  | { is: 'failed'; code: string | null; message: string | null }
  | { is: 'canceled'; made: number; of: number }

/** As much of a job's row as it takes. */
export interface JobFacts {
  status: 'queued' | 'processing' | 'completed' | 'failed' | 'canceled'
  quantity: number
  retries: number
  next_run_at: string | null
  result_count: number
  error_code: string | null
  error_message: string | null
}

export type News = 'finished' | 'partly' | 'failed' | 'canceled'

/**
 * `made` is how many pictures have arrived, which may be ahead of the row or behind it. `position`
 * is the place in the line, null where nobody knows.
 */
export function phaseOf(job: JobFacts, made: number, position: number | null): Phase {
  const arrived = Math.min(job.quantity, Math.max(made, job.result_count))
  switch (job.status) {
    case 'queued':
      if (job.retries > 0) return { is: 'retrying', turn: job.retries, at: job.next_run_at }
      return arrived > 0
        ? { is: 'generating', made: arrived, of: job.quantity }
        : { is: 'queued', position }
    case 'processing':
      return { is: 'generating', made: arrived, of: job.quantity }
    case 'completed':
      return { is: 'done', made: job.result_count, of: job.quantity }
    case 'failed':
      return { is: 'failed', code: job.error_code, message: job.error_message }
    case 'canceled':
      return { is: 'canceled', made: job.result_count, of: job.quantity }
  }
}

export const isUnderWay = ({ is }: Phase) =>
  is === 'sending' || is === 'queued' || is === 'retrying' || is === 'generating'

/** What to announce. Nothing for a job first seen when it had ended: that was long ago. */
export function passage(before: Phase | undefined, after: Phase): News | null {
  if (!before || !isUnderWay(before) || isUnderWay(after)) return null
  if (after.is === 'done') return after.made < after.of ? 'partly' : 'finished'
  return after.is === 'failed' ? 'failed' : 'canceled'
}

/** Which output shows which job: its own, and the first one those that no output knows. */
export function jobsByOutput(
  outputs: readonly { id: string; jobIds: readonly string[] }[],
  jobIds: readonly string[],
): Map<string, string[]> {
  const known = new Set(jobIds)
  const claimed = new Set<string>()
  const shown = new Map<string, string[]>()
  for (const output of outputs) {
    const own = output.jobIds.filter((id) => known.has(id) && !claimed.has(id))
    for (const id of own) claimed.add(id)
    shown.set(output.id, own)
  }
  const first = outputs[0]
  // A tab that was closed between the server's answer and the save leaves such a job.
  if (first) {
    const orphans = jobIds.filter((id) => !claimed.has(id))
    shown.set(first.id, [...orphans, ...(shown.get(first.id) ?? [])])
  }
  return shown
}
