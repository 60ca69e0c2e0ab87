import { Link, useParams } from '@tanstack/react-router'
import { ArrowLeft, Copy } from 'lucide-react'
import { useView } from '@/api/operator'
import type { WholeJob } from '@/api/operator-rows'
import { isUnderWay } from '@/api/rows'
import { IconButton } from '@/ui/button'
import { Page } from '@/ui/page'
import { Progress } from '@/ui/progress'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { JobActs } from './job-acts'
import { JobCredits } from './job-credits'
import { JobOutputs } from './job-outputs'
import { JobTimeline } from './job-timeline'
import { useLengths } from './lengths'
import { LogLines } from './log-lines'
import { Figure, JobStatus, LINK, Title, UserLink } from './pieces'
import { Shown } from './shown'

const EVERY_MS = 2000

/** All there is of one job: its attempts, times, outputs and credits. */
export function JobPart() {
  const { jobId } = useParams({ from: '/signed-in/console/jobs/$jobId' })
  return <OneJob key={jobId} jobId={jobId} />
}

function OneJob({ jobId }: { jobId: string }) {
  const { console: told } = useWords()
  const view = useView('job', { jobId }, EVERY_MS)
  const copy = async () => {
    await navigator.clipboard.writeText(jobId)
    toast.success(told.copied)
  }
  return (
    <Page
      title={told.job.title}
      about={
        <span className="inline-flex flex-wrap items-center gap-1">
          <Link to="/console/jobs" className={`${LINK} mr-2 inline-flex items-center gap-1`}>
            <ArrowLeft aria-hidden className="size-3.5" />
            {told.job.back}
          </Link>
          <code className="font-mono text-xs">{jobId}</code>
          <IconButton icon={Copy} size="small" label={told.copy} onClick={() => void copy()} />
        </span>
      }
      actions={view.data && <JobActs jobs={[view.data.job]} onDone={() => void view.refetch()} />}
    >
      <Shown of={view}>{(whole) => <Whole whole={whole} />}</Shown>
    </Page>
  )
}

function Whole({ whole }: { whole: WholeJob }) {
  const { console: told } = useWords()
  const { job } = whole
  const asked = { prompt: job.prompt, payload: job.payload, metadata: job.metadata }
  return (
    <>
      <Times whole={whole} />
      {isUnderWay(job) && <Progress label={told.workers.progress} percent={job.progress} />}
      {job.errorMessage && (
        <p className="rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">
          <code className="font-mono">{job.errorCode}</code>: {job.errorMessage}
        </p>
      )}
      <div className="grid gap-5 xl:grid-cols-2">
        <JobTimeline whole={whole} />
        <Facts whole={whole} />
      </div>
      <JobOutputs outputs={whole.outputs} />
      <JobCredits entries={whole.entries} />
      {whole.logs.length > 0 && (
        <section className="flex flex-col gap-2">
          <Title>{told.job.logs}</Title>
          <LogLines lines={whole.logs} />
        </section>
      )}
      <section className="flex flex-col gap-2">
        <Title>{told.job.request}</Title>
        {job.prompt && <p className="text-sm whitespace-pre-wrap">{job.prompt}</p>}
        <details className="rounded-lg border border-line bg-surface">
          <summary className="min-h-9 px-4 py-2 text-sm font-medium">{told.job.details}</summary>
          <pre
            // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
            tabIndex={0}
            className="max-h-96 overflow-auto px-4 pb-4 font-mono text-xs"
          >
            {JSON.stringify(asked, null, 2)}
          </pre>
        </details>
      </section>
    </>
  )
}

function Times({ whole }: { whole: WholeJob }) {
  const { console: told } = useWords()
  const words = told.job
  const { number } = useFormat()
  const { between } = useLengths()
  const { job } = whole
  const now = new Date().toISOString()
  const end = job.completedAt ?? now
  const open = job.completedAt ? undefined : words.untilNow
  return (
    <dl className="grid grid-cols-2 gap-3 md:grid-cols-4">
      <Figure
        label={words.waited}
        value={between(job.createdAt, job.startedAt ?? end)}
        about={job.startedAt ? undefined : open}
      />
      <Figure
        label={words.ran}
        value={job.startedAt ? between(job.startedAt, end) : '–'}
        about={job.startedAt ? open : undefined}
      />
      <Figure label={words.whole} value={between(job.createdAt, end)} about={open} />
      <Figure label={told.jobs.made} value={`${number(job.resultCount)}/${number(job.quantity)}`} />
    </dl>
  )
}

function Facts({ whole }: { whole: WholeJob }) {
  const { console: told } = useWords()
  const words = told.job
  const { number } = useFormat()
  const { instant, between } = useLengths()
  const { job, lease, position } = whole
  const now = new Date().toISOString()
  const facts = [
    [told.jobs.status, <JobStatus key="status" status={job.status} />],
    [told.jobs.user, <UserLink key="user" id={job.userId} email={job.email} />],
    [told.jobs.type, job.jobType],
    [told.jobs.queue, job.queue],
    [told.jobs.model, job.payload.model as string | undefined],
    [
      told.jobs.attempt,
      words.attempts(number(job.attempt), number(job.retries), number(job.maxRetries)),
    ],
    [words.priority, number(job.priority)],
    [words.position, position === null ? null : number(position)],
    [words.lease, lease && `${lease.worker} (${words.leaseUntil(between(now, lease.expiresAt))})`],
    [words.nextRun, job.nextRunAt && instant(job.nextRunAt)],
    [words.expires, job.completedAt ? null : instant(job.expiresAt)],
    [words.project, job.projectId],
  ] as const
  return (
    <section className="flex flex-col gap-2">
      <Title>{words.title}</Title>
      <dl className="grid grid-cols-[auto_1fr] gap-x-6 gap-y-2 rounded-lg border border-line bg-surface p-4 text-sm">
        {facts
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <div key={name} className="contents">
              <dt className="text-quiet">{name}</dt>
              <dd className="min-w-0 break-words">{value}</dd>
            </div>
          ))}
      </dl>
    </section>
  )
}
