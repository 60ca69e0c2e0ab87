import { useNavigate, useSearch } from '@tanstack/react-router'
import { ListChecks, RotateCw } from 'lucide-react'
import { useMemo, useState } from 'react'
import { usePages } from '@/api/operator'
import type { Jobs } from '@/api/operator-rows'
import { More } from '@/shell/reading'
import { Button, IconButton } from '@/ui/button'
import { Page } from '@/ui/page'
import { Empty } from '@/ui/states'
import { useFormat, useWords } from '@/words'
import { JobActs } from './job-acts'
import { type JobFilter, JobFilters } from './job-filters'
import { JobsTable } from './jobs-table'
import { Nothing } from './pieces'
import { Shown } from './shown'

const EVERY_MS = 5000

const lookedAt = (pages: readonly Jobs[]) =>
  pages.reduce((total, page) => total + page.jobsSeenMax, 0)

/** Jobs, newest first, as the address filters them; many can be acted upon at once. */
export function JobsPart() {
  const { console: told } = useWords()
  const { number } = useFormat()
  const filter = useSearch({ from: '/signed-in/console/jobs' })
  const navigate = useNavigate()
  const pages = usePages(
    'jobs',
    {
      status: filter.status,
      queue: filter.queue,
      jobType: filter.type,
      user: filter.user,
      errorCode: filter.error,
    },
    EVERY_MS,
  )
  const jobs = useMemo(() => pages.data?.pages.flatMap((page) => page.jobs) ?? [], [pages.data])
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set())
  const selected = jobs.filter((job) => chosen.has(job.id))

  function show(next: JobFilter) {
    setChosen(new Set())
    void navigate({ to: '/console/jobs', search: next })
  }

  return (
    <Page
      title={told.parts.jobs}
      about={told.jobs.about}
      actions={
        <IconButton
          icon={RotateCw}
          look="plain"
          label={told.jobs.refresh}
          busy={pages.isRefetching}
          onClick={() => void pages.refetch()}
        />
      }
    >
      <JobFilters key={JSON.stringify(filter)} filter={filter} onShow={show} />
      <Shown of={pages}>
        {({ pages: read }) =>
          jobs.length === 0 && !pages.hasNextPage ? (
            <Empty icon={ListChecks} title={told.jobs.empty} />
          ) : (
            <>
              {jobs.length === 0 ? (
                <Nothing>{told.jobs.noneAmong(number(lookedAt(read)))}</Nothing>
              ) : (
                <JobsTable jobs={jobs} chosen={chosen} onChoose={setChosen} />
              )}
              <More of={pages} />
            </>
          )
        }
      </Shown>
      {selected.length > 0 && (
        <div
          role="region"
          aria-label={told.jobs.selected(selected.length, number(selected.length))}
          className="appear sticky bottom-4 z-10 flex flex-wrap items-center gap-2 self-center rounded-lg border border-line bg-surface p-2 pl-4 shadow-high"
        >
          <span className="text-sm font-medium tabular-nums">
            {told.jobs.selected(selected.length, number(selected.length))}
          </span>
          <JobActs jobs={selected} onDone={() => setChosen(new Set())} />
          <Button look="quiet" onClick={() => setChosen(new Set())}>
            {told.jobs.unselect}
          </Button>
        </div>
      )}
    </Page>
  )
}
