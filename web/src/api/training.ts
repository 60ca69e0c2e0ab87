/** How far is a training? Its job, and the course of its loss as it is told. */
import { useQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import { watch } from '@/realtime'
import { cache } from './cache'
import { theClient } from './client'
import { keys } from './keys'
import { useLiveRows } from './live-rows'
import { dataOf } from './refusal'
import { isUnderWay, type Job, type TrainingStep } from './rows'

const STEPS_READ_MAX = 1000
const STEPS_MAX = 5000
const POLL_MS = 20_000

/** The training's job as it changes; undefined until it is read. */
export function useTrainingJob(jobId: string | null): Job | undefined {
  return useLiveRows<Job>({
    key: keys.job(jobId ?? ''),
    subject: { table: 'jobs', column: 'id', value: jobId ?? '' },
    rowsMax: 1,
    enabled: jobId !== null,
    isOpen: isUnderWay,
  }).rows[0]
}

/** Every step that was reported, in order, as they come. A step that is told again is replaced. */
export function useTrainingSteps(jobId: string | null, isOpen: boolean): TrainingStep[] {
  const id = jobId ?? ''
  useEffect(() => {
    if (!id || !isOpen) return
    const key = keys.trainingSteps(id)
    const read = () => void cache.invalidateQueries({ queryKey: key })
    const stop = watch(
      theClient(),
      { table: 'training_steps', column: 'job_id', value: id },
      {
        onRow: (row) =>
          cache.setQueryData<TrainingStep[]>(
            key,
            (known) => known && united(known, [row as unknown as TrainingStep]),
          ),
        // A step goes with its training alone.
        onGone: () => {},
        onLive: read,
        onAway: () => {},
      },
    )
    return () => {
      stop()
      // What came between the last word and the end.
      read()
    }
  }, [id, isOpen])
  return (
    useQuery({
      queryKey: keys.trainingSteps(id),
      enabled: id !== '',
      refetchInterval: isOpen ? POLL_MS : false,
      queryFn: () => readSteps(id),
    }).data ?? []
  )
}

async function readSteps(jobId: string): Promise<TrainingStep[]> {
  const found: TrainingStep[] = []
  while (found.length < STEPS_MAX) {
    const rows = await dataOf<TrainingStep[]>(
      theClient()
        .from('training_steps')
        .select('*')
        .eq('job_id', jobId)
        .gt('step', found.at(-1)?.step ?? -1)
        .order('step')
        .limit(STEPS_READ_MAX),
    )
    found.push(...rows)
    if (rows.length < STEPS_READ_MAX) break
  }
  return found
}

/** The newer of two versions of a step is the one with the greater `seq`. */
export function united(known: TrainingStep[], told: TrainingStep[]): TrainingStep[] {
  const steps = new Map(known.map((one) => [one.step, one]))
  for (const one of told) {
    const before = steps.get(one.step)
    if (!before || before.seq < one.seq) steps.set(one.step, one)
  }
  return [...steps.values()].sort((one, other) => one.step - other.step)
}
