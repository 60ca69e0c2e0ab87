import { RotateCcw, X } from 'lucide-react'
import { lazy, Suspense, useState } from 'react'
import { useReleased } from '@/api/credits'
import { cancelJob } from '@/api/jobs'
import { refusalOf } from '@/api/refusal'
import type { Generation } from '@/api/rows'
import { isUnderWay, type Phase } from '@/graph'
import { IconButton } from '@/ui/button'
import { classes } from '@/ui/classes'
import { Progress } from '@/ui/progress'
import { toast } from '@/ui/toast'
import { learn, useFormat, useWords, type Words } from '@/words'
import type { Run, Sending } from '../store'
import { useRunAgain } from '../use-run'
import { cssRatio } from './ratio-picker'

// What may go wrong has many words; they are learned when something has.
const Why = lazy(() =>
  Promise.all([import('../reason'), learn().catch(() => {})]).then(([loaded]) => loaded),
)

interface RunsProps {
  sendings: readonly Sending[]
  runs: readonly Run[]
  outputId: string
  onOpen: (pictureId: string) => void
}

/** What an output shows, newest first. */
export default function Runs({ sendings, runs, outputId, onOpen }: RunsProps) {
  return (
    <>
      {[...sendings].reverse().map((sending) => (
        <SendingView key={sending.key} sending={sending} />
      ))}
      {runs.map((run) => (
        <RunView key={run.job.id} run={run} outputId={outputId} onOpen={onOpen} />
      ))}
    </>
  )
}

interface RunViewProps {
  run: Run
  outputId: string
  onOpen: (pictureId: string) => void
}

/** One job: what it is doing, and its pictures as they arrive. */
function RunView({ run, outputId, onOpen }: RunViewProps) {
  const { job, phase, pictures } = run
  const { editor } = useWords()
  const format = useFormat()
  const runAgain = useRunAgain()
  const [isCanceling, setCanceling] = useState(false)
  const active = isUnderWay(phase)
  const isShort =
    phase.is === 'failed' ||
    ((phase.is === 'done' || phase.is === 'canceled') && phase.made < phase.of)

  async function cancel() {
    setCanceling(true)
    try {
      await cancelJob(job.id)
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    }
    setCanceling(false)
  }

  return (
    <article aria-label={job.prompt ?? ''} className="flex flex-col gap-1.5" data-job={job.id}>
      <header className="flex min-h-6 items-center gap-2">
        <p
          role="status"
          className={classes(
            'min-w-0 flex-1 truncate text-xs',
            phase.is === 'failed' ? 'font-medium text-bad' : active ? 'text-ink' : 'text-faint',
          )}
        >
          {told(phase, editor, format.number)}
          {!active && phase.is !== 'failed' && ` · ${format.since(job.created_at)}`}
        </p>
        {active && (
          <IconButton
            icon={X}
            size="small"
            label={editor.cancelJob}
            busy={isCanceling}
            className="nodrag"
            onClick={() => void cancel()}
          />
        )}
        {isShort && (
          <IconButton
            icon={RotateCcw}
            size="small"
            label={editor.retryJob}
            className="nodrag"
            onClick={() => runAgain(job, outputId)}
          />
        )}
      </header>
      {active && <Progress label={editor.generatingOne} percent={percentOf(phase, job.progress)} />}
      {phase.is === 'failed' && <Reason run={run} />}
      {isShort && phase.is !== 'failed' && <Released jobId={job.id} />}
      {(active || pictures.length > 0) && (
        <Tiles
          pictures={pictures}
          expected={active ? job.quantity : 0}
          ratio={(job.payload.aspect_ratio as string | undefined) ?? null}
          onOpen={onOpen}
        />
      )}
    </article>
  )
}

/** A request that has no job yet looks like the job that it becomes. */
function SendingView({ sending }: { sending: Sending }) {
  const { editor } = useWords()
  return (
    <article aria-label={editor.started} className="flex flex-col gap-1.5">
      <div className="flex min-h-6 items-center gap-2 text-xs text-ink">
        <p role="status" className="min-w-0 flex-1">
          {sending.waits === 'offline'
            ? editor.resending
            : sending.waits === 'busy'
              ? editor.resendingBusy
              : editor.sending}
        </p>
        {sending.waits && (
          <IconButton
            icon={X}
            size="small"
            label={editor.giveUp}
            className="nodrag"
            onClick={sending.giveUp}
          />
        )}
      </div>
      <Progress label={editor.sending} percent={null} />
      <Tiles
        pictures={[]}
        expected={sending.quantity}
        ratio={sending.aspectRatio}
        onOpen={() => {}}
      />
    </article>
  )
}

function Reason({ run }: { run: Run }) {
  const { phase, job } = run
  if (phase.is !== 'failed') return null
  return (
    <div className="rounded-md bg-bad-soft px-3 py-2 text-xs text-bad">
      <Suspense fallback={<p>{phase.message ?? phase.code}</p>}>
        <Why code={phase.code} message={phase.message} />
      </Suspense>
      <Released jobId={job.id} />
    </div>
  )
}

function Released({ jobId }: { jobId: string }) {
  const { editor } = useWords()
  const released = useReleased(jobId).data
  return released ? <p className="text-xs font-medium">{editor.released(released)}</p> : null
}

interface TilesProps {
  pictures: readonly Generation[]
  /** So many are shown, those that have not come as places. */
  expected: number
  ratio: string | null
  onOpen: (pictureId: string) => void
}

function Tiles({ pictures, expected, ratio, onOpen }: TilesProps) {
  const { editor } = useWords()
  const at = new Map(pictures.map((picture) => [picture.position ?? 0, picture]))
  const places = expected
    ? Array.from({ length: expected }, (_, position) => position)
    : [...at.keys()].sort((one, other) => one - other)
  return (
    <ul className={classes('grid gap-1.5', places.length > 1 && 'grid-cols-2')}>
      {places.map((position) => {
        const picture = at.get(position)
        const aspectRatio =
          picture?.width && picture.height
            ? `${picture.width} / ${picture.height}`
            : cssRatio(ratio)
        return (
          <li
            key={position}
            style={{ aspectRatio }}
            className="overflow-hidden rounded-md bg-raised"
          >
            {picture ? (
              <button
                type="button"
                aria-label={`${editor.openPicture}: ${editor.picture(position + 1)}`}
                onClick={() => onOpen(picture.id)}
                className="nodrag block size-full"
              >
                <img
                  src={picture.thumbnail_url ?? picture.url ?? undefined}
                  alt={picture.prompt ?? editor.picture(position + 1)}
                  draggable={false}
                  className="develop size-full object-cover"
                />
              </button>
            ) : (
              <div className="sweep size-full" />
            )}
          </li>
        )
      })}
    </ul>
  )
}

/** What a phase is called. */
function told(phase: Phase, editor: Words['editor'], number: (value: number) => string) {
  switch (phase.is) {
    case 'sending':
      return phase.again ? editor.resending : editor.sending
    case 'queued':
      if (phase.position === null) return editor.queued
      return phase.position === 1 ? editor.next : editor.queuedAt(number(phase.position))
    case 'retrying':
      return editor.retrying(phase.turn)
    case 'generating':
      return editor.generating(phase.made, phase.of)
    case 'done':
      return phase.made < phase.of
        ? editor.finishedPartly(phase.made, phase.of)
        : editor.finished(phase.made)
    case 'failed':
      return editor.failed
    case 'canceled':
      return editor.canceled
  }
}

function percentOf(phase: Phase, progress: number): number | null {
  if (phase.is !== 'generating') return null
  return Math.max(progress, Math.round((phase.made / phase.of) * 100))
}
