import type { Outcome } from '@/api/operator-rows'
import { Badge } from '@/ui/badge'
import { Button } from '@/ui/button'
import { Dialog } from '@/ui/dialog'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { JobLink } from './pieces'

const NEW_JOBS_SHOWN_MAX = 20

interface OutcomesProps {
  outcomes: readonly Outcome[]
  onClose: () => void
}

/** What became of jobs that were acted upon, summed up by outcome. */
export function Outcomes({ outcomes, onClose }: OutcomesProps) {
  const { console: told, shell } = useWords()
  const words = told.acts
  const { number } = useFormat()
  const kinds = new Map<string, Outcome[]>()
  for (const one of outcomes) kinds.set(one.outcome, [...(kinds.get(one.outcome) ?? []), one])
  const done = outcomes.filter((one) => one.done).length
  const made = outcomes.flatMap((one) => one.newJobId ?? [])
  return (
    <Dialog
      open
      onClose={onClose}
      title={words.outcomes}
      about={words.summary(number(done), number(outcomes.length - done))}
      closeLabel={shell.close}
      actions={<Button onClick={onClose}>{shell.close}</Button>}
    >
      <Table label={words.outcomes}>
        <thead>
          <tr>
            <Head>{words.outcome}</Head>
            <Head className="text-right">{words.count}</Head>
            <Head>{words.told}</Head>
          </tr>
        </thead>
        <tbody>
          {[...kinds].map(([kind, some]) => (
            <Line key={kind}>
              <Cell>
                <Badge tone={some[0]?.done ? 'good' : 'warn'}>{told.outcomes[kind] ?? kind}</Badge>
                {some[0]?.message && <p className="mt-1 text-xs text-quiet">{some[0].message}</p>}
              </Cell>
              <Cell className="text-right">{number(some.length)}</Cell>
              <Cell>{some[0] && <JobLink id={some[0].jobId} />}</Cell>
            </Line>
          ))}
        </tbody>
      </Table>
      {made.length > 0 && (
        <ul className="mt-4 flex flex-wrap gap-x-4 gap-y-1 text-sm">
          {made.slice(0, NEW_JOBS_SHOWN_MAX).map((id) => (
            <li key={id}>
              <JobLink id={id}>
                {made.length === 1 ? words.toNewJob : `${words.newJob} ${id.slice(-8)}`}
              </JobLink>
            </li>
          ))}
        </ul>
      )}
    </Dialog>
  )
}
