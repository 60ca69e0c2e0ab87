import { Link, useParams } from '@tanstack/react-router'
import { ArrowLeft, Coins } from 'lucide-react'
import { useState } from 'react'
import { useView } from '@/api/operator'
import { Button } from '@/ui/button'
import { Page } from '@/ui/page'
import { useFormat, useWords } from '@/words'
import { Entries } from './entries'
import { GrantDialog } from './grant-dialog'
import { JobsTable } from './jobs-table'
import { Figure, LINK, Nothing, Title } from './pieces'
import { Shown } from './shown'
import { Marks } from './users'

const EVERY_MS = 5000

/** One user: credits, statement, newest jobs; and the way to give more credits. */
export function UserPart() {
  const { userId } = useParams({ from: '/signed-in/console/users/$userId' })
  return <OneUser key={userId} userId={userId} />
}

function OneUser({ userId }: { userId: string }) {
  const { console: told } = useWords()
  const words = told.users
  const { number, day, since } = useFormat()
  const view = useView('user', { user: userId }, EVERY_MS)
  const [grants, setGrants] = useState(false)
  const who = view.data?.user.email ?? userId
  return (
    <Page
      title={who}
      about={
        <span className="inline-flex flex-wrap items-center gap-2">
          <Link to="/console/users" className={`${LINK} inline-flex items-center gap-1`}>
            <ArrowLeft aria-hidden className="size-3.5" />
            {words.back}
          </Link>
          <code className="font-mono text-xs">{userId}</code>
        </span>
      }
      actions={
        <Button look="primary" icon={Coins} disabled={!view.data} onClick={() => setGrants(true)}>
          {words.grant}
        </Button>
      }
    >
      <Shown of={view}>
        {({ user, statement, jobs }) => (
          <>
            <p className="flex flex-wrap items-center gap-2 text-sm text-quiet">
              {words.joined}: {day(user.createdAt)}
              {user.lastSignInAt && ` · ${words.seen}: ${since(user.lastSignInAt)}`}{' '}
              <Marks user={user} />
            </p>
            <dl className="grid grid-cols-2 gap-3 md:grid-cols-4">
              <Figure label={words.available} value={number(user.available)} />
              <Figure label={words.held} value={number(user.held)} />
              <Figure label={words.balance} value={number(user.balance)} />
              <Figure label={words.today} value={number(user.jobsLastDay)} />
            </dl>
            <section className="flex flex-col gap-2">
              <Title
                aside={
                  <Link to="/console/jobs" search={{ user: userId }} className={`${LINK} text-sm`}>
                    {words.allJobs}
                  </Link>
                }
              >
                {words.jobs}
              </Title>
              {jobs.length ? <JobsTable jobs={jobs} /> : <Nothing>{words.noJobs}</Nothing>}
            </section>
            <section className="flex flex-col gap-2">
              <Title>{words.statement}</Title>
              {statement.length ? (
                <Entries entries={statement} label={words.statement} />
              ) : (
                <Nothing>{words.noStatement}</Nothing>
              )}
            </section>
          </>
        )}
      </Shown>
      {grants && <GrantDialog userId={userId} who={who} onClose={() => setGrants(false)} />}
    </Page>
  )
}
