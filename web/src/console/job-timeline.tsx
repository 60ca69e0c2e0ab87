import {
  ArrowRight,
  Ban,
  Check,
  CircleX,
  Inbox,
  LifeBuoy,
  type LucideIcon,
  Play,
  RotateCcw,
} from 'lucide-react'
import type { WholeJob } from '@/api/operator-rows'
import { useFormat, useWords } from '@/words'
import { useLengths } from './lengths'
import { Title } from './pieces'

const ICONS: Record<string, LucideIcon> = {
  accepted: Inbox,
  started: Play,
  retried: RotateCcw,
  rescued: LifeBuoy,
  forwarded: ArrowRight,
  completed: Check,
  failed: CircleX,
  canceled: Ban,
}
const INKS: Record<string, string> = {
  completed: 'bg-good-soft text-good',
  failed: 'bg-bad-soft text-bad',
  retried: 'bg-warn-soft text-warn',
  rescued: 'bg-warn-soft text-warn',
  canceled: 'bg-warn-soft text-warn',
}

/** What happened to a job, in order, and how long each step took. */
export function JobTimeline({ whole: { steps } }: { whole: WholeJob }) {
  const { console: told } = useWords()
  const words = told.job
  const { number } = useFormat()
  const { instant, between } = useLengths()
  return (
    <section className="flex flex-col gap-2">
      <Title>{words.timeline}</Title>
      <ol className="flex flex-col rounded-lg border border-line bg-surface p-4">
        {steps.map((step, place) => {
          const Icon = ICONS[step.kind] ?? ArrowRight
          const before = steps[place - 1]
          return (
            <li
              key={`${step.at} ${step.kind} ${step.attempt}`}
              className="relative flex gap-3 pb-4 last:pb-0"
            >
              {place < steps.length - 1 && (
                <span aria-hidden className="absolute top-6 bottom-0 left-3 w-px bg-line" />
              )}
              <span
                className={`flex size-6 shrink-0 items-center justify-center rounded-full ${INKS[step.kind] ?? 'bg-raised text-quiet'}`}
              >
                <Icon aria-hidden className="size-3.5" strokeWidth={1.75} />
              </span>
              <div className="min-w-0 flex-1 text-sm">
                <p>
                  <span className="font-medium">{words.steps[step.kind] ?? step.kind}</span>{' '}
                  <span className="text-quiet">
                    {words.attempt(number(step.attempt))}
                    {step.worker && ` ${words.by(step.worker)}`}
                  </span>
                </p>
                <p className="text-xs text-faint tabular-nums">
                  <time dateTime={step.at}>{instant(step.at)}</time>
                  {before && `, ${words.after(between(before.at, step.at))}`}
                </p>
                {(step.code || step.message) && (
                  <p className="mt-1 text-xs break-words text-quiet">
                    {step.code && <code className="font-mono">{step.code}</code>} {step.message}
                  </p>
                )}
              </div>
            </li>
          )
        })}
      </ol>
    </section>
  )
}
