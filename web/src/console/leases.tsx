import type { Workers } from '@/api/operator-rows'
import { Progress } from '@/ui/progress'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { secondsBetween, useLengths } from './lengths'
import { JobLink, JobStatus, Nothing, Title } from './pieces'

/** How long a lease still runs. */
function Left({ until }: { until: string }) {
  const { console: told } = useWords()
  const { length } = useLengths()
  const seconds = secondsBetween(new Date().toISOString(), until)
  return seconds > 0 ? (
    length(Math.ceil(seconds))
  ) : (
    <span className="text-warn">{told.workers.leaseOver}</span>
  )
}

export function Leases({ leases }: { leases: Workers['leases'] }) {
  const { console: told } = useWords()
  const words = told.workers
  const { number } = useFormat()
  if (leases.length === 0) return null
  return (
    <section className="flex flex-col gap-2">
      <Title>{words.leases}</Title>
      <Table label={words.leases}>
        <thead>
          <tr>
            <Head>{words.worker}</Head>
            <Head className="text-right">{told.parts.jobs}</Head>
            <Head className="text-right">{words.leaseEnds}</Head>
          </tr>
        </thead>
        <tbody>
          {leases.map((one) => (
            <Line key={one.id}>
              <Cell>
                <code className="font-mono text-xs">{one.worker}</code>
              </Cell>
              <Cell className="text-right">{number(one.jobs)}</Cell>
              <Cell className="text-right">
                <Left until={one.expiresAt} />
              </Cell>
            </Line>
          ))}
        </tbody>
      </Table>
    </section>
  )
}

export function Held({ jobs }: { jobs: Workers['jobs'] }) {
  const { console: told } = useWords()
  const words = told.workers
  const { number } = useFormat()
  return (
    <section className="flex flex-col gap-2">
      <Title>{words.held}</Title>
      {jobs.length === 0 ? (
        <Nothing>{words.noHeld}</Nothing>
      ) : (
        <Table label={words.held}>
          <thead>
            <tr>
              <Head>{told.jobs.job}</Head>
              <Head>{told.jobs.status}</Head>
              <Head>{words.worker}</Head>
              <Head>{told.jobs.queue}</Head>
              <Head className="text-right">{told.jobs.attempt}</Head>
              <Head>{words.progress}</Head>
              <Head className="text-right">{words.leaseEnds}</Head>
            </tr>
          </thead>
          <tbody>
            {jobs.map((one) => (
              <Line key={one.id}>
                <Cell>
                  <JobLink id={one.id} />
                </Cell>
                <Cell>
                  <JobStatus status={one.status} />
                </Cell>
                <Cell>
                  <code className="font-mono text-xs">{one.worker}</code>
                </Cell>
                <Cell>{one.queue}</Cell>
                <Cell className="text-right">{number(one.attempt)}</Cell>
                <Cell className="min-w-24">
                  <Progress label={words.progress} percent={one.progress} />
                </Cell>
                <Cell className="text-right">
                  <Left until={one.expiresAt} />
                </Cell>
              </Line>
            ))}
          </tbody>
        </Table>
      )}
    </section>
  )
}
