import type { LedgerEntry } from '@/api/operator-rows'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { useLengths } from './lengths'
import { JobLink } from './pieces'

/** Lines of the ledger. */
export function Entries({ entries, label }: { entries: LedgerEntry[]; label: string }) {
  const { console: told, rows } = useWords()
  const { number } = useFormat()
  const { instant } = useLengths()
  return (
    <Table label={label}>
      <thead>
        <tr>
          <Head>{told.users.kind}</Head>
          <Head className="text-right">{told.users.amount}</Head>
          <Head>{told.jobs.job}</Head>
          <Head>{told.users.note}</Head>
          <Head>{told.jobs.created}</Head>
        </tr>
      </thead>
      <tbody>
        {entries.map((entry) => (
          <Line key={entry.id}>
            <Cell>{rows.entries[entry.kind] ?? entry.kind}</Cell>
            <Cell className="text-right">{number(entry.amount)}</Cell>
            <Cell>{entry.holdId && <JobLink id={entry.holdId} />}</Cell>
            <Cell className="max-w-72 truncate text-quiet">{entry.note}</Cell>
            <Cell className="whitespace-nowrap text-quiet">
              <time dateTime={entry.createdAt}>{instant(entry.createdAt)}</time>
            </Cell>
          </Line>
        ))}
      </tbody>
    </Table>
  )
}
