import { Link, useNavigate, useSearch } from '@tanstack/react-router'
import { Coins } from 'lucide-react'
import type { CreditEntry } from '@/api/rows'
import { isTraining, type ToldEntry, useEntries } from '@/api/statement'
import { More, Unread } from '@/shell/reading'
import { Badge, type Tone } from '@/ui/badge'
import { classes } from '@/ui/classes'
import { Segments } from '@/ui/segments'
import { Empty, Skeleton } from '@/ui/states'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { Export } from './export'
import { KINDS, statementOf } from './statement'

const ALL = 'all'
const TONES: Record<CreditEntry['kind'], Tone> = {
  grant: 'good',
  capture: 'accent',
  hold: 'plain',
  release: 'plain',
}

/** The ledger, newest first; each line with the job it is of. */
export function Entries() {
  const { account: told, rows } = useWords()
  const navigate = useNavigate()
  const { kind } = useSearch({ from: '/signed-in/credits' })
  const pages = useEntries(kind)
  const entries = pages.data?.pages.flat() ?? []
  const choices = [ALL, ...KINDS].map((value) => ({
    value,
    label: value === ALL ? told.everything : (rows.entries[value] ?? value),
  }))
  return (
    <section aria-labelledby="statement" className="flex flex-col gap-3">
      <header className="flex flex-wrap items-center gap-3">
        <h2 id="statement" className="flex-1 text-sm font-semibold">
          {told.statement}
        </h2>
        {entries.length > 0 && <Export kind={kind} />}
        <Segments
          label={told.kindOfEntry}
          value={kind ?? ALL}
          choices={choices}
          onChoose={(value) =>
            void navigate({ to: '/credits', search: statementOf({ kind: value }), replace: true })
          }
        />
      </header>
      {pages.error && !pages.data && <Unread error={pages.error} onAgain={pages.refetch} />}
      {pages.isPending && <Skeleton className="h-40" />}
      {pages.data && entries.length === 0 && (
        <Empty icon={Coins} title={kind ? told.noneOfKind : told.noEntries} />
      )}
      {entries.length > 0 && (
        <Table label={told.statement}>
          <thead>
            <tr>
              <Head className="max-sm:hidden">{told.when}</Head>
              <Head>{told.what}</Head>
              <Head className="w-full">{told.why}</Head>
              <Head className="text-right!">{told.amount}</Head>
            </tr>
          </thead>
          <tbody>
            {entries.map((entry) => (
              <Entry key={entry.id} entry={entry} />
            ))}
          </tbody>
        </Table>
      )}
      <More of={pages} />
    </section>
  )
}

function Entry({ entry }: { entry: ToldEntry }) {
  const { rows } = useWords()
  const format = useFormat()
  const { kind, amount } = entry
  // Only what is added and what is spent changes what is settled.
  const sign = kind === 'grant' ? '+' : kind === 'capture' ? '−' : ''
  return (
    <Line>
      <Cell className="whitespace-nowrap text-quiet max-sm:hidden">
        {format.moment(entry.created_at)}
      </Cell>
      <Cell>
        <Badge tone={TONES[kind]}>{rows.entries[kind]}</Badge>
      </Cell>
      <Cell className="max-w-0">
        <Why entry={entry} />
        <span className="block text-xs text-quiet sm:hidden">
          {format.moment(entry.created_at)}
        </span>
      </Cell>
      <Cell
        className={classes(
          'text-right whitespace-nowrap',
          sign ? 'font-medium' : 'text-faint',
          kind === 'grant' && 'text-good',
        )}
      >
        {sign}
        {format.number(amount)}
      </Cell>
    </Line>
  )
}

function Why({ entry }: { entry: ToldEntry }) {
  const { account: told } = useWords()
  const { job, note, reference } = entry
  if (!job) return <span className="block truncate">{note ?? reference ?? told.untold}</span>
  if (isTraining(job)) return <Trained id={job.identity_id} name={job.identityName} />
  const name = job.prompt || told.untold
  if (job.result_count === 0) return <span className="block truncate text-quiet">{name}</span>
  return (
    <span className="flex items-center gap-3">
      <span className="min-w-0 truncate">{name}</span>
      <Link
        to="/gallery"
        search={{ job: job.id }}
        aria-label={told.picturesOf(job.result_count, name)}
        className="shrink-0 rounded-sm py-0.5 font-medium text-accent-strong underline underline-offset-2"
      >
        {told.pictures(job.result_count)}
      </Link>
    </span>
  )
}

export function Trained({ id, name }: { id: string | null; name: string | null }) {
  const { account: told } = useWords()
  if (!id || !name) return <span className="block truncate">{told.trainingOfGone}</span>
  return (
    <Link
      to="/identities/$identityId"
      params={{ identityId: id }}
      className="block truncate font-medium hover:underline"
    >
      {told.trainingOf(name)}
    </Link>
  )
}
