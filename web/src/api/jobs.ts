/** Jobs: asked for once however often the request is sent, watched to their end, canceled. */
import { useQuery } from '@tanstack/react-query'
import { whenBack } from './back'
import { theClient } from './client'
import { keys } from './keys'
import { expectRow, useLiveRows } from './live-rows'
import { dataOf, Refusal } from './refusal'
import { isUnderWay, type Job } from './rows'
import { theUserId } from './session'

const LISTED_MAX = 300
const POSITIONS_MS = 3_000
const POSITIONS_MAX = 50
// So often is a server asked that answers, and cannot; one that is out of reach, until it is back.
const SENDS_MAX = 8
const ANSWER_MS_MAX = 30_000
const SEND_AGAIN_MS_MAX = 15_000
const TRAINING_PHOTOS = 'storage:identities/'

export interface GenerateRequest {
  prompt: string
  quantity: number
  projectId?: string
  model?: string
  aspectRatio?: string
  imageSize?: string
  seed?: number
  /** Pictures to go by, each `bucket/path`. */
  imageUrls?: string[]
  identityId?: string
}

export interface Accepted {
  jobId: string
  quantity: number
  creditsHeld: number
  creditsRemaining: number
  warnings?: string[]
}

/** The jobs of a project, newest first, as they change. */
export function useProjectJobs(projectId: string) {
  return useLiveRows<Job>({
    key: keys.projectJobs(projectId),
    subject: { table: 'jobs', column: 'project_id', value: projectId },
    rowsMax: LISTED_MAX,
    isOpen: isUnderWay,
  })
}

/** Why a request is sent once more: nobody answered, or whoever did has too much to do. */
export type Waiting = 'offline' | 'busy'

/**
 * Asks for pictures. `key` makes it one job: while no answer comes the same request is sent again,
 * `onResend` told before each time, until `signal` says to stop. Throws a Refusal when the server
 * says no, `given_up` after `signal`.
 */
export async function generate(
  request: GenerateRequest,
  key: string,
  onResend: (waits: Waiting) => void,
  signal: AbortSignal,
): Promise<Accepted> {
  for (let turn = 1; ; turn += 1) {
    if (signal.aborted) throw new Refusal('given_up', 'The request was given up.')
    try {
      const accepted = await dataOf<Accepted>(
        theClient().functions.invoke('generate-image', {
          body: request,
          headers: { 'Idempotency-Key': key },
          signal,
          timeout: ANSWER_MS_MAX,
        }),
      )
      if (request.projectId) expectJob(request, accepted, request.projectId)
      return accepted
    } catch (error) {
      if (signal.aborted) continue
      if (!(error instanceof Refusal && error.isPassing)) throw error
      const isAway = error.code === 'offline'
      if (!isAway && turn >= SENDS_MAX) throw error
      onResend(isAway ? 'offline' : 'busy')
      const told = (error.retrySeconds ?? 0) * 1000
      const pause = Math.max(told, Math.min(SEND_AGAIN_MS_MAX, 500 * 2 ** turn))
      await untilBetter(pause, isAway, signal)
    }
  }
}

export const cancelJob = (jobId: string) =>
  dataOf<{ status: string; creditsReleased: number }>(
    theClient().functions.invoke('cancel-job', { body: { jobId } }),
  )

/** What was asked for with this job, to ask for it again: as many pictures as it did not make. */
export function requestOf(job: Job): GenerateRequest {
  const { payload } = job
  const told = <T>(name: string) => (payload[name] ?? undefined) as T | undefined
  // An identity's own photos are the server's to add.
  const references = told<string[]>('references')
    ?.filter((name) => !name.startsWith(TRAINING_PHOTOS))
    .map((name) => name.replace(/^storage:/, ''))
  const config = told<{ seed?: number }>('config')
  return {
    prompt: job.prompt ?? '',
    quantity: Math.max(1, job.quantity - job.result_count),
    projectId: job.project_id ?? undefined,
    model: told('model'),
    aspectRatio: told('aspect_ratio'),
    imageSize: told('image_size'),
    seed: told('seed') ?? config?.seed,
    identityId: job.identity_id ?? undefined,
    imageUrls: references?.length ? references : undefined,
  }
}

/** The places in the line of jobs that wait, by id; asked for every few seconds. */
export function usePositions(jobIds: readonly string[]): ReadonlyMap<string, number> | undefined {
  const asked = jobIds.slice(0, POSITIONS_MAX)
  return useQuery({
    queryKey: keys.positions(asked),
    enabled: asked.length > 0,
    refetchInterval: POSITIONS_MS,
    staleTime: 0,
    retry: false,
    placeholderData: (before) => before,
    queryFn: async () => {
      const rows = await dataOf<{ job_id: string; queue_position: number }[]>(
        theClient().rpc('queue_positions', { p_job_ids: asked }),
      )
      return new Map(rows.map((row) => [row.job_id, row.queue_position]))
    },
  }).data
}

/** Shows an accepted job before the server tells of it. */
function expectJob(request: GenerateRequest, accepted: Accepted, projectId: string): void {
  expectRow<Job>(keys.projectJobs(projectId), {
    id: accepted.jobId,
    user_id: theUserId(),
    project_id: projectId,
    identity_id: request.identityId ?? null,
    job_type: 'image',
    queue: 'images',
    quantity: accepted.quantity,
    prompt: request.prompt,
    payload: { aspect_ratio: request.aspectRatio },
    status: 'queued',
    progress: 0,
    retries: 0,
    max_retries: 3,
    attempt: 1,
    seq: 0,
    next_run_at: null,
    created_at: new Date().toISOString(),
    started_at: null,
    completed_at: null,
    result_count: 0,
    result_urls: [],
    error_code: null,
    error_message: null,
  })
}

/** Waits; who is away, no longer than until the network may be back. */
function untilBetter(milliseconds: number, isAway: boolean, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer)
      leave()
      signal.removeEventListener('abort', done)
      resolve()
    }
    const timer = setTimeout(done, milliseconds)
    const leave = isAway ? whenBack(done) : () => {}
    signal.addEventListener('abort', done)
  })
}
