import { useEffect, useMemo, useRef } from 'react'
import { useProjectPictures } from '@/api/generations'
import { usePositions, useProjectJobs } from '@/api/jobs'
import type { Generation, Job } from '@/api/rows'
import { jobsByOutput, type News, type Phase, passage, phaseOf } from '@/graph'
import { toast } from '@/ui/toast'
import { learn, useWords, type Words, wordsNow } from '@/words'
import { type EditorStore, type Run, useEditor, useEditorStore } from './store'

const NONE: readonly Generation[] = []
const RECENT_MS = 60_000

/**
 * Keeps `runs` of the store as the rows say. An output whose jobs and pictures did not change gets
 * the same array again, so that it is not drawn again.
 */
export function useRunsFeed(): { isLive: boolean } {
  const store = useEditorStore()
  const projectId = useEditor((state) => state.projectId)
  const nodes = useEditor((state) => state.history.present.nodes)
  const { rows: jobs, isLive, isPending } = useProjectJobs(projectId)
  const { rows: pictures, repair } = useProjectPictures(projectId)
  const waiting = useMemo(
    () => jobs.filter((job) => job.status === 'queued' && job.seq > 0).map(({ id }) => id),
    [jobs],
  )
  const positions = usePositions(waiting)
  const before = useRef(new Map<string, Run>())
  const byJob = useMemo(() => picturesByJob(pictures), [pictures])

  const runs = useMemo(() => {
    const made = new Map<string, Run>()
    for (const job of jobs) {
      const old = before.current.get(job.id)
      const own = settled(old?.pictures, byJob.get(job.id) ?? NONE)
      const phase = phaseOf(job, own.length, positions?.get(job.id) ?? null)
      const isSame = old?.job === job && old.pictures === own && sameShape(old.phase, phase)
      made.set(job.id, isSame ? old : { job, phase, pictures: own })
    }
    return made
  }, [jobs, byJob, positions])

  useEffect(() => {
    const outputs = nodes.flatMap((node) => (node.kind === 'output' ? [node] : []))
    show(store, outputs, runs)
  }, [store, nodes, runs])

  // A job that made more than has arrived: the news of a picture was lost on the way.
  const missing = jobs.filter((job) => job.result_count > (byJob.get(job.id)?.length ?? 0))
  const lost = missing.map(({ id, seq }) => `${id} ${seq}`).join()
  useEffect(() => {
    if (lost) void repair().catch(() => {})
  }, [lost, repair])

  useNews(runs, before, !isPending)
  return { isLive }
}

function useNews(
  runs: Map<string, Run>,
  before: { current: Map<string, Run> },
  isRead: boolean,
): void {
  const { editor } = useWords()
  const wasRead = useRef(false)
  useEffect(() => {
    for (const [id, run] of runs) {
      const isNew = wasRead.current && isRecent(run.job)
      const news = passage(before.current.get(id)?.phase ?? (isNew ? UNSEEN : undefined), run.phase)
      if (news) void announce(news, run, editor)
    }
    before.current = runs
    wasRead.current = isRead
  }, [runs, before, isRead, editor])
}

/** A job may have ended before the answer to its request was here. */
const UNSEEN: Phase = { is: 'queued', position: null }

const isRecent = ({ completed_at }: Job) =>
  completed_at !== null && Math.abs(Date.now() - Date.parse(completed_at)) < RECENT_MS

async function announce(news: News, { job }: Run, editor: Words['editor']): Promise<void> {
  switch (news) {
    case 'finished':
      toast.success(editor.finished(job.result_count))
      break
    case 'partly':
      toast.warning(editor.finishedPartly(job.result_count, job.quantity), {
        description: await reasonOf(job),
      })
      break
    case 'failed': {
      const reason = await reasonOf(job)
      toast.error(editor.failed, {
        description: [reason, `${editor.allReleased}.`].filter(Boolean).join(' '),
      })
      break
    }
    case 'canceled':
      toast(editor.canceled)
  }
}

/** Why a job failed, in the reader's language as far as there are words; they are loaded then. */
async function reasonOf({ error_code, error_message }: Job): Promise<string | null> {
  try {
    const [{ sentenceOf }] = await Promise.all([import('./reason'), learn()])
    return sentenceOf(wordsNow().failures, error_code, error_message)
  } catch {
    return error_message ?? error_code
  }
}

function show(
  store: EditorStore,
  outputs: { id: string; jobIds: readonly string[] }[],
  runs: ReadonlyMap<string, Run>,
): void {
  const before = store.getState().runs
  const newest = (one: Run, other: Run) => other.job.created_at.localeCompare(one.job.created_at)
  const shown = new Map<string, readonly Run[]>()
  let changed = before.size !== outputs.length
  for (const [id, jobIds] of jobsByOutput(outputs, [...runs.keys()])) {
    const own = jobIds.flatMap((jobId) => runs.get(jobId) ?? []).sort(newest)
    const kept = settled(before.get(id), own)
    changed ||= kept !== before.get(id)
    shown.set(id, kept)
  }
  if (changed) store.setState({ runs: shown })
}

function picturesByJob(pictures: readonly Generation[]): Map<string, Generation[]> {
  const found = new Map<string, Generation[]>()
  for (const picture of pictures) {
    if (picture.status !== 'completed' || !picture.job_id) continue
    const own = found.get(picture.job_id)
    if (own) own.push(picture)
    else found.set(picture.job_id, [picture])
  }
  for (const own of found.values())
    own.sort((one, other) => (one.position ?? 0) - (other.position ?? 0))
  return found
}

/** The old array if the new one has the same elements. */
function settled<T>(old: readonly T[] | undefined, next: readonly T[]): readonly T[] {
  const isSame = old && old.length === next.length && old.every((one, at) => one === next[at])
  return isSame ? old : next
}

const sameShape = (one: Phase, other: Phase) => JSON.stringify(one) === JSON.stringify(other)
