import type { JobRow } from '@/api/operator-rows'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { useLengths } from './lengths'
import { JobLink, JobStatus, shortId, UserLink } from './pieces'

interface JobsTableProps {
  jobs: JobRow[]
  /** Left out where jobs cannot be selected. */
  chosen?: ReadonlySet<string>
  onChoose?: (chosen: ReadonlySet<string>) => void
}

export function JobsTable({ jobs, chosen, onChoose }: JobsTableProps) {
  const { console: told } = useWords()
  const words = told.jobs
  const all = jobs.length > 0 && jobs.every((job) => chosen?.has(job.id))
  return (
    <Table label={told.parts.jobs}>
      <thead>
        <tr>
          {onChoose && (
            <Head className="w-8">
              <Tick
                label={words.selectAll}
                checked={all}
                onChange={() => onChoose(new Set(all ? [] : jobs.map((job) => job.id)))}
              />
            </Head>
          )}
          <Head>{words.status}</Head>
          <Head>{words.job}</Head>
          <Head>{words.user}</Head>
          <Head>{words.model}</Head>
          <Head className="text-right">{words.made}</Head>
          <Head className="text-right">{words.attempt}</Head>
          <Head className="text-right">{words.took}</Head>
          <Head>{words.created}</Head>
        </tr>
      </thead>
      <tbody>
        {jobs.map((job) => (
          <Row key={job.id} job={job} chosen={chosen} onChoose={onChoose} />
        ))}
      </tbody>
    </Table>
  )
}

function Row({ job, chosen, onChoose }: { job: JobRow } & Omit<JobsTableProps, 'jobs'>) {
  const { console: told } = useWords()
  const format = useFormat()
  const { between } = useLengths()
  const prompt = job.prompt || told.jobs.noPrompt
  const choose = () => {
    const next = new Set(chosen)
    if (!next.delete(job.id)) next.add(job.id)
    onChoose?.(next)
  }
  return (
    <Line>
      {onChoose && (
        <Cell>
          <Tick
            label={told.jobs.select(`${prompt} ${shortId(job.id)}`)}
            checked={chosen?.has(job.id) ?? false}
            onChange={choose}
          />
        </Cell>
      )}
      <Cell>
        <JobStatus status={job.status} />
        {job.errorCode && <div className="mt-0.5 text-xs text-quiet">{job.errorCode}</div>}
      </Cell>
      <Cell className="max-w-72">
        <JobLink id={job.id} className="block truncate">
          {prompt}
        </JobLink>
        <code className="font-mono text-xs text-faint">{shortId(job.id)}</code>
      </Cell>
      <Cell className="max-w-44 truncate">
        <UserLink id={job.userId} email={job.email} />
      </Cell>
      <Cell className="max-w-40">
        <div className="truncate">{job.model ?? job.jobType}</div>
        <div className="truncate text-xs text-faint">{job.queue}</div>
      </Cell>
      <Cell className="text-right">
        {format.number(job.resultCount)}/{format.number(job.quantity)}
      </Cell>
      <Cell className="text-right">{format.number(job.attempt)}</Cell>
      <Cell className="text-right whitespace-nowrap">
        {job.completedAt ? between(job.createdAt, job.completedAt) : '–'}
      </Cell>
      <Cell className="whitespace-nowrap text-quiet">
        <time dateTime={job.createdAt}>{format.since(job.createdAt)}</time>
      </Cell>
    </Line>
  )
}

interface TickProps {
  label: string
  checked: boolean
  onChange: () => void
}

function Tick({ label, checked, onChange }: TickProps) {
  return (
    <label className="flex size-6 cursor-pointer items-center justify-center">
      <input
        type="checkbox"
        aria-label={label}
        checked={checked}
        onChange={onChange}
        className="size-4 accent-accent"
      />
    </label>
  )
}
