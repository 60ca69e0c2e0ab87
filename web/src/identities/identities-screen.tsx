import { Link } from '@tanstack/react-router'
import { Check, LoaderCircle, Plus, UserRound, X } from 'lucide-react'
import { useIdentities } from '@/api/identities'
import { forgetRemoval, type Removal, useFollowedRemoval, useRemovals } from '@/api/removals'
import type { Identity } from '@/api/rows'
import { Unread } from '@/shell/reading'
import { Badge, type Tone } from '@/ui/badge'
import { IconButton } from '@/ui/button'
import { classes } from '@/ui/classes'
import { Page } from '@/ui/page'
import { Progress } from '@/ui/progress'
import { Empty, Skeleton } from '@/ui/states'
import { useFormat, useWords } from '@/words'
import { Picture } from './picture'

const TONES: Record<Identity['status'], Tone> = { training: 'accent', ready: 'good', failed: 'bad' }
const CANCELED = 'canceled'
const PRIMARY =
  'inline-flex h-8 items-center gap-1.5 rounded-md bg-accent px-3 text-sm font-medium text-accent-ink transition-colors hover:bg-accent-strong'

/** The user's identities, newest first, and what is still being removed. */
export function IdentitiesScreen() {
  const { identities } = useWords()
  const { rows, isPending, error, repair } = useIdentities()
  const removals = useRemovals()
  const add = (
    <Link to="/identities/new" className={PRIMARY}>
      <Plus aria-hidden className="size-4" strokeWidth={1.75} />
      {identities.add}
    </Link>
  )
  if (error) return <Unread error={error} onAgain={repair} />
  return (
    <Page
      title={identities.title}
      about={identities.about}
      actions={rows.length > 0 ? add : undefined}
    >
      {removals.length > 0 && (
        <ul className="flex flex-col gap-2">
          {removals.map((removal) => (
            <Going key={removal.identityId} removal={removal} />
          ))}
        </ul>
      )}
      {isPending && (
        <div className="grid grid-cols-2 gap-4 sm:grid-cols-3 lg:grid-cols-4">
          <Skeleton className="h-64" />
          <Skeleton className="h-64" />
        </div>
      )}
      {!isPending && rows.length === 0 && (
        <Empty
          icon={UserRound}
          title={identities.empty}
          about={identities.emptyAbout}
          action={add}
        />
      )}
      {rows.length > 0 && (
        <ul className="grid grid-cols-2 gap-4 sm:grid-cols-3 lg:grid-cols-4">
          {rows.map((identity) => (
            <li key={identity.id}>
              <Tile identity={identity} />
            </li>
          ))}
        </ul>
      )}
    </Page>
  )
}

export function Status({ identity }: { identity: Identity }) {
  const { rows } = useWords()
  const { status, error_code: code } = identity
  if (status === 'failed' && code === CANCELED) return <Badge>{rows.statuses[CANCELED]}</Badge>
  return <Badge tone={TONES[status]}>{rows.statuses[status]}</Badge>
}

function Tile({ identity }: { identity: Identity }) {
  const { identities } = useWords()
  const format = useFormat()
  const { id, identity_name: name, status, num_training_images: photos } = identity
  return (
    <Link
      to="/identities/$identityId"
      params={{ identityId: id }}
      className="block overflow-hidden rounded-lg border border-line bg-surface transition-shadow hover:shadow-card"
    >
      <Picture
        url={identity.thumbnail_url}
        alt=""
        className={classes('aspect-square w-full', status !== 'ready' && 'opacity-70')}
      />
      <div className="flex flex-col gap-1.5 p-3">
        <div className="flex items-center gap-2">
          <span className="min-w-0 flex-1 truncate font-medium">{name}</span>
          <Status identity={identity} />
        </div>
        <p className="text-xs text-quiet">
          {identities.photos(photos, format.number(photos))}
          {', '}
          {identity.trained_at
            ? identities.trainedAt(format.since(identity.trained_at))
            : identities.begun(format.since(identity.created_at))}
        </p>
        {status === 'training' && (
          <Progress
            label={identities.percent(format.percent(identity.progress / 100))}
            percent={identity.progress}
          />
        )}
        {status === 'failed' && identity.error_code !== CANCELED && (
          <p className="line-clamp-2 text-xs text-bad">{identity.error_message}</p>
        )}
      </div>
    </Link>
  )
}

function Going({ removal }: { removal: Removal }) {
  const { identities } = useWords()
  const words = identities.remove
  useFollowedRemoval(removal)
  const { name, isDone, identityId } = removal
  return (
    <li
      role="status"
      className="flex items-center gap-2 rounded-lg border border-line bg-surface py-1 pr-1 pl-3 text-sm text-quiet"
    >
      {isDone ? (
        <Check aria-hidden className="size-4 text-good" strokeWidth={1.75} />
      ) : (
        <LoaderCircle aria-hidden className="size-4 animate-spin" strokeWidth={1.75} />
      )}
      <span className="min-w-0 flex-1 py-1">
        {isDone ? words.removed(name) : words.removing(name)}
      </span>
      {isDone && (
        <IconButton
          icon={X}
          label={words.dismiss(name)}
          onClick={() => forgetRemoval(identityId)}
        />
      )}
    </li>
  )
}
