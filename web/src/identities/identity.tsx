import { Link, useNavigate, useParams } from '@tanstack/react-router'
import { ArrowLeft, TriangleAlert, UserX } from 'lucide-react'
import { useIdentities } from '@/api/identities'
import type { Identity } from '@/api/rows'
import { Unread } from '@/shell/reading'
import { classes } from '@/ui/classes'
import { Page } from '@/ui/page'
import { Empty, Skeleton } from '@/ui/states'
import { useFormat, useWords } from '@/words'
import { IdentityActs } from './acts'
import { Facts } from './facts'
import { Status } from './identities-screen'
import { Plates } from './plates'
import { Samples } from './samples'
import { Training } from './training'

const LINK =
  'inline-flex items-center gap-1 rounded-sm font-medium text-ink underline decoration-line underline-offset-4 hover:decoration-accent'

/** One identity: how its training goes, what it was made of, and what can be done with it. */
export function IdentityScreen() {
  const { identities } = useWords()
  const { identityId } = useParams({ from: '/signed-in/identities/$identityId' })
  const { rows, isPending, error, repair } = useIdentities()
  const identity = rows.find((row) => row.id === identityId)
  const navigate = useNavigate()
  const back = (
    <Link to="/identities" className={LINK}>
      <ArrowLeft aria-hidden className="size-3.5" />
      {identities.back}
    </Link>
  )
  if (error) return <Unread error={error} onAgain={repair} />
  if (isPending)
    return (
      <Page title={identities.title}>
        <Skeleton className="h-64" />
      </Page>
    )
  if (!identity)
    return (
      <Page title={identities.title} about={back}>
        <Empty icon={UserX} title={identities.missing} about={identities.missingAbout} />
      </Page>
    )
  return (
    <Page
      title={identity.identity_name}
      about={
        <span className="inline-flex flex-wrap items-center gap-3">
          {back}
          <Status identity={identity} />
        </span>
      }
      actions={
        <IdentityActs identity={identity} onGone={() => void navigate({ to: '/identities' })} />
      }
    >
      {identity.status === 'failed' && <Ended identity={identity} />}
      <Training identity={identity} />
      <Samples identity={identity} />
      <div className="grid gap-5 lg:grid-cols-[1fr_20rem]">
        <Photos identity={identity} />
        <Facts identity={identity} />
      </div>
    </Page>
  )
}

function Ended({ identity }: { identity: Identity }) {
  const { identities } = useWords()
  const isCanceled = identity.error_code === 'canceled'
  return (
    <div
      role="alert"
      className={classes(
        'rounded-lg px-4 py-3 text-sm',
        isCanceled ? 'bg-raised text-quiet' : 'bg-bad-soft text-bad',
      )}
    >
      <p className="font-semibold">{isCanceled ? identities.canceled : identities.failed}</p>
      <p>
        {!isCanceled && identity.error_message} {identities.released}{' '}
        <Link to="/identities/new" className="font-medium underline underline-offset-2">
          {identities.beginAgain}
        </Link>
      </p>
    </div>
  )
}

function Photos({ identity }: { identity: Identity }) {
  const { identities } = useWords()
  const { number } = useFormat()
  const { findings, image_paths: paths } = identity
  return (
    <section className="flex flex-col gap-2">
      <h2 className="text-sm font-semibold">{identities.form.photos}</h2>
      {findings.length > 0 && (
        <p className="flex items-center gap-2 text-sm text-warn">
          <TriangleAlert aria-hidden className="size-4 shrink-0" strokeWidth={1.75} />
          {identities.findingsAbout(findings.length, number(findings.length))}
        </p>
      )}
      <Plates
        className="grid-cols-3 sm:grid-cols-4 xl:grid-cols-5"
        plates={paths.map((path, place) => ({
          url: path,
          name: identities.form.photo(number(place + 1)),
          note: findings
            .filter((finding) => finding.image === place + 1)
            .map((finding) => (
              <p key={finding.kind} className="mt-1 text-xs text-warn">
                {identities.findings[finding.kind] ?? finding.message}
              </p>
            )),
        }))}
      />
    </section>
  )
}
