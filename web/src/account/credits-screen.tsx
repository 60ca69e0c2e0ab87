import { Link } from '@tanstack/react-router'
import { useCredits } from '@/api/credits'
import { isTraining, useOpenHolds } from '@/api/statement'
import { Unread } from '@/shell/reading'
import { Card } from '@/ui/card'
import { Page } from '@/ui/page'
import { Skeleton } from '@/ui/states'
import { useFormat, useWords } from '@/words'
import { Entries, Trained } from './entries'

/** What is settled, held and available, why it is held, and every entry of the ledger. */
export function CreditsScreen() {
  const { account: told } = useWords()
  const format = useFormat()
  const account = useCredits()
  if (account.error) return <Unread error={account.error} onAgain={account.refetch} />
  const { balance = 0, held = 0, available = 0 } = account.data ?? {}
  const figures = [
    ['settled', told.settled, told.settledAbout, balance],
    ['held', told.held, told.heldAbout, held],
    ['available', told.available, told.availableAbout, available],
  ] as const
  return (
    <Page title={told.creditsTitle}>
      <dl className="grid gap-3 sm:grid-cols-3">
        {figures.map(([key, name, about, value]) => (
          <div key={key} className="rounded-lg border border-line bg-surface p-4">
            <dt className="text-xs font-medium text-quiet">{name}</dt>
            <dd
              data-testid={`credits-${key}-figure`}
              className="mt-1 text-2xl font-semibold tabular-nums"
            >
              {account.isPending ? <Skeleton className="h-8 w-16" /> : format.number(value)}
            </dd>
            <dd className="mt-1 text-xs text-faint">{about}</dd>
          </div>
        ))}
      </dl>
      {held > 0 && <Holds />}
      <Entries />
    </Page>
  )
}

/** The jobs that something is held for. */
function Holds() {
  const { account: told, rows } = useWords()
  const format = useFormat()
  const holds = useOpenHolds().data ?? []
  if (holds.length === 0) return null
  return (
    <Card title={told.openHolds}>
      <p className="-mt-2 mb-3 text-sm text-quiet">{told.openHoldsAbout}</p>
      <ul className="flex flex-col divide-y divide-line text-sm">
        {holds.map(({ job, held, identityName }) => (
          <li key={job.id} className="flex flex-wrap items-center gap-x-4 py-2">
            <span className="min-w-0 flex-1 basis-full truncate sm:basis-0">
              {isTraining(job) ? (
                <Trained id={job.identity_id} name={identityName} />
              ) : job.project_id ? (
                <Link
                  to="/p/$projectId"
                  params={{ projectId: job.project_id }}
                  search={{}}
                  className="font-medium hover:underline"
                >
                  {job.prompt || told.untold}
                </Link>
              ) : (
                (job.prompt ?? told.untold)
              )}
            </span>
            <span className="text-quiet">{rows.statuses[job.status]}</span>
            <span className="text-quiet">{told.heldSince(format.since(job.created_at))}</span>
            <span className="font-medium tabular-nums">{told.credits(held)}</span>
          </li>
        ))}
      </ul>
    </Card>
  )
}
