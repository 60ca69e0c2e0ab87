import { Link } from '@tanstack/react-router'
import { PartyPopper } from 'lucide-react'
import { useState } from 'react'
import { useView } from '@/api/operator'
import { Page } from '@/ui/page'
import { Empty } from '@/ui/states'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { JobLink, LINK, Window } from './pieces'
import { Shown } from './shown'

const EVERY_MS = 10_000

/** Why jobs die. */
export function FailuresPart() {
  const { console: told } = useWords()
  const words = told.failures
  const format = useFormat()
  const [minutes, setMinutes] = useState(1440)
  const view = useView('failures', { minutes }, EVERY_MS)
  return (
    <Page
      title={told.parts.failures}
      about={words.about}
      actions={<Window minutes={minutes} choices={told.days} onChoose={setMinutes} />}
    >
      <Shown of={view}>
        {({ failures }) =>
          failures.length === 0 ? (
            <Empty icon={PartyPopper} title={words.empty} about={words.emptyAbout} />
          ) : (
            <Table label={told.parts.failures}>
              <thead>
                <tr>
                  <Head>{words.cause}</Head>
                  <Head>{told.jobs.type}</Head>
                  <Head className="text-right">{told.parts.jobs}</Head>
                  <Head>{words.message}</Head>
                  <Head>{words.newest}</Head>
                  <Head>
                    <span className="sr-only">{words.list}</span>
                  </Head>
                </tr>
              </thead>
              <tbody>
                {failures.map((one) => (
                  <Line key={`${one.cause} ${one.jobType}`}>
                    <Cell>
                      <code className="font-mono text-xs text-bad">{one.cause}</code>
                    </Cell>
                    <Cell>{one.jobType}</Cell>
                    <Cell className="text-right font-semibold">{format.number(one.jobs)}</Cell>
                    <Cell className="max-w-96 text-quiet">{one.message}</Cell>
                    <Cell className="whitespace-nowrap">
                      <JobLink id={one.newestJobId}>{format.since(one.newestAt)}</JobLink>
                    </Cell>
                    <Cell>
                      <Link
                        to="/console/jobs"
                        search={{ status: 'failed', error: one.cause, type: one.jobType }}
                        className={LINK}
                      >
                        {words.list}
                      </Link>
                    </Cell>
                  </Line>
                ))}
              </tbody>
            </Table>
          )
        }
      </Shown>
    </Page>
  )
}
