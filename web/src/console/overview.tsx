import { Link } from '@tanstack/react-router'
import { lazy, Suspense, useState } from 'react'
import { useView } from '@/api/operator'
import type { Overview, QueueLoad } from '@/api/operator-rows'
import { Page } from '@/ui/page'
import { Skeleton } from '@/ui/states'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { useLengths } from './lengths'
import { Figure, JobStatus, LINK, Nothing, Title, Window } from './pieces'
import { Shown } from './shown'

const EVERY_MS = 2000
const STATUSES = ['queued', 'processing', 'completed', 'failed', 'canceled']

const Charts = lazy(() => import('./charts').then((part) => ({ default: part.Charts })))

/** How things stand, at a glance. */
export function OverviewPart() {
  const { console: told } = useWords()
  const [minutes, setMinutes] = useState(60)
  const view = useView('overview', {}, EVERY_MS)
  return (
    <Page title={told.parts.overview} about={told.overview.about}>
      <Shown of={view}>
        {(overview) => (
          <>
            <Figures overview={overview} />
            <Queues queues={overview.queues} />
            <LastHour counts={overview.jobsLastHour} />
          </>
        )}
      </Shown>
      <div className="flex justify-end">
        <Window minutes={minutes} choices={told.windows} onChoose={setMinutes} />
      </div>
      <Suspense fallback={<Skeleton className="h-64" />}>
        <Charts minutes={minutes} />
      </Suspense>
    </Page>
  )
}

function Figures({ overview }: { overview: Overview }) {
  const { console: told } = useWords()
  const words = told.overview
  const { number } = useFormat()
  const { length } = useLengths()
  const sum = (of: (queue: QueueLoad) => number) =>
    overview.queues.reduce((total, queue) => total + of(queue), 0)
  const waits = overview.queues.flatMap((queue) => queue.oldestSeconds ?? [])
  const alive = overview.insideWorkersAlive + overview.outsideWorkersAlive
  return (
    <dl className="grid grid-cols-2 gap-3 md:grid-cols-4">
      <Figure
        label={words.ready}
        value={number(sum((queue) => queue.ready))}
        about={words.readyAbout}
      />
      <Figure
        label={words.inFlight}
        value={number(sum((queue) => queue.leased))}
        about={words.inFlightAbout}
      />
      <Figure
        label={words.delayed}
        value={number(sum((queue) => queue.delayed))}
        about={words.delayedAbout}
      />
      <Figure
        label={words.oldest}
        value={length(waits.length ? Math.max(...waits) : null)}
        about={words.oldestAbout}
      />
      <Figure
        label={words.workers}
        value={number(alive)}
        about={words.workersAbout(
          number(overview.insideWorkersAlive),
          number(overview.outsideWorkersAlive),
        )}
        tone={alive === 0 ? 'bad' : undefined}
      />
      <Figure
        label={words.pauses}
        value={number(overview.pauses)}
        about={words.pausesAbout}
        tone={overview.pauses ? 'warn' : undefined}
      />
      <Figure
        label={words.held}
        value={number(overview.creditsHeld)}
        about={words.heldAbout(overview.openHolds, number(overview.openHolds))}
      />
      <Figure
        label={words.ledger}
        value={overview.ledgerHoldsTrue ? words.ledgerTrue : words.ledgerFalse}
        about={
          <Link to="/console/ledger" className={LINK}>
            {told.ledger.verify}
          </Link>
        }
        tone={overview.ledgerHoldsTrue ? 'good' : 'bad'}
      />
    </dl>
  )
}

function Queues({ queues }: { queues: QueueLoad[] }) {
  const { console: told } = useWords()
  const words = told.overview
  const { number } = useFormat()
  const { length } = useLengths()
  return (
    <section className="flex flex-col gap-2">
      <Title>{words.queues}</Title>
      {queues.length === 0 ? (
        <Nothing>{words.noQueues}</Nothing>
      ) : (
        <Table label={words.queues}>
          <thead>
            <tr>
              <Head>{words.queue}</Head>
              <Head className="text-right">{words.ready}</Head>
              <Head className="text-right">{words.inFlight}</Head>
              <Head className="text-right">{words.delayed}</Head>
              <Head className="text-right">{words.oldest}</Head>
            </tr>
          </thead>
          <tbody>
            {queues.map((queue) => (
              <Line key={queue.queue}>
                <Cell>
                  <Link to="/console/jobs" search={{ queue: queue.queue }} className={LINK}>
                    {queue.queue}
                  </Link>
                </Cell>
                <Cell className="text-right">{number(queue.ready)}</Cell>
                <Cell className="text-right">{number(queue.leased)}</Cell>
                <Cell className="text-right">{number(queue.delayed)}</Cell>
                <Cell className="text-right">{length(queue.oldestSeconds)}</Cell>
              </Line>
            ))}
          </tbody>
        </Table>
      )}
    </section>
  )
}

function LastHour({ counts }: { counts: Record<string, number> }) {
  const { console: told } = useWords()
  const { number } = useFormat()
  const found = STATUSES.filter((status) => counts[status])
  return (
    <section className="flex flex-col gap-2">
      <Title>{told.overview.lastHour}</Title>
      {found.length === 0 ? (
        <Nothing>{told.overview.noJobs}</Nothing>
      ) : (
        <ul className="flex flex-wrap gap-2">
          {found.map((status) => (
            <li key={status}>
              <Link
                to="/console/jobs"
                search={{ status }}
                className="flex h-9 items-center gap-2 rounded-lg border border-line bg-surface px-3 text-sm font-semibold tabular-nums hover:bg-raised"
              >
                <JobStatus status={status} />
                {number(counts[status] ?? 0)}
              </Link>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
