import { Check, Circle, CircleX, LoaderCircle } from 'lucide-react'
import { lazy, Suspense } from 'react'
import type { Identity, Job } from '@/api/rows'
import { useTrainingJob, useTrainingSteps } from '@/api/training'
import { Card } from '@/ui/card'
import { classes } from '@/ui/classes'
import { Progress } from '@/ui/progress'
import { Skeleton } from '@/ui/states'
import { useFormat, useWords } from '@/words'

const LossChart = lazy(() => import('./loss-chart').then((part) => ({ default: part.LossChart })))

const STAGES = ['prepare', 'wait', 'train', 'finish', 'ready'] as const
type Stage = (typeof STAGES)[number]

/** Where a training is, by its job; at the beginning while nothing of that is known. */
export function stageOf(identity: Identity, job: Job | undefined): Stage {
  if (identity.status === 'ready') return 'ready'
  const stage = job?.payload.stage
  if (stage === 'finish') return 'finish'
  if (stage !== 'train') return 'prepare'
  return identity.step || job?.status === 'processing' ? 'train' : 'wait'
}

/** How a training goes: its stages, its step, and the course of its loss. */
export function Training({ identity }: { identity: Identity }) {
  const { identities } = useWords()
  const words = identities.stages
  const { number } = useFormat()
  const isOpen = identity.status === 'training'
  const job = useTrainingJob(identity.job_id)
  const steps = useTrainingSteps(identity.job_id, isOpen)
  const at = stageOf(identity, job)
  const { step, steps_total: whole } = identity
  return (
    <div className="grid gap-5 lg:grid-cols-[20rem_1fr]">
      <Card title={words.title}>
        <ol className="flex flex-col gap-2.5">
          {STAGES.map((stage) => (
            <StageLine
              key={stage}
              label={words[stage]}
              state={stateOf(STAGES.indexOf(stage), STAGES.indexOf(at), identity.status)}
            />
          ))}
        </ol>
        {isOpen && (
          <div className="mt-4 flex flex-col gap-1" aria-live="polite">
            {at === 'train' && step !== null && whole !== null && (
              <p className="text-xs text-quiet tabular-nums">
                {identities.step(number(step), number(whole))}
              </p>
            )}
            <Progress label={words.title} percent={identity.progress} />
          </div>
        )}
      </Card>
      <Suspense fallback={<Skeleton className="h-64" />}>
        <LossChart steps={steps} />
      </Suspense>
    </div>
  )
}

type State = 'done' | 'now' | 'next' | 'failed'

function stateOf(place: number, at: number, status: Identity['status']): State {
  if (status === 'ready' || place < at) return 'done'
  if (place > at) return 'next'
  return status === 'failed' ? 'failed' : 'now'
}

const ICONS = { done: Check, now: LoaderCircle, next: Circle, failed: CircleX }

function StageLine({ label, state }: { label: string; state: State }) {
  const Icon = ICONS[state]
  return (
    <li
      aria-current={state === 'now' ? 'step' : undefined}
      className={classes(
        'flex items-center gap-2 text-sm',
        state === 'next' && 'text-faint',
        state === 'now' && 'font-medium text-accent-strong',
        state === 'failed' && 'text-bad',
      )}
    >
      <Icon
        aria-hidden
        className={classes(
          'size-4 shrink-0',
          state === 'done' && 'text-good',
          state === 'now' && 'animate-spin',
        )}
        strokeWidth={1.75}
      />
      {label}
    </li>
  )
}
