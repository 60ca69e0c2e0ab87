import { Link, useParams } from '@tanstack/react-router'
import { ArrowLeft, Images, SearchX, X } from 'lucide-react'
import { useState } from 'react'
import { useBatch } from '@/api/batches'
import { useBatchPictures } from '@/api/generations'
import { cancelJob } from '@/api/jobs'
import { refusalOf } from '@/api/refusal'
import { type Batch, type Generation, isUnderWay } from '@/api/rows'
import { useShown } from '@/api/shown'
import { Unread } from '@/shell/reading'
import { useSentence } from '@/shell/sentence'
import { Button } from '@/ui/button'
import { Card } from '@/ui/card'
import { Page } from '@/ui/page'
import { Empty, Skeleton } from '@/ui/states'
import { toast } from '@/ui/toast'
import { Viewer } from '@/ui/viewer'
import { useFormat, useWords } from '@/words'
import { Missing } from './missing'
import { BatchBadge, BatchCost, BatchProgress } from './state'

/** One batch, and its pictures as they arrive. */
export function BatchScreen() {
  const { batches } = useWords()
  const { batchId } = useParams({ from: '/signed-in/batches/$batchId' })
  const { batch, isPending, error, again } = useBatch(Number(batchId))
  if (error) return <Unread error={error} onAgain={again} />
  if (isPending) return <Skeleton className="m-6 h-64" />
  if (!batch)
    return (
      <Empty
        icon={SearchX}
        title={batches.missing}
        about={batches.missingAbout}
        action={<Back />}
      />
    )
  return <Shown batch={batch} />
}

function Back() {
  const { batches } = useWords()
  return (
    <Link
      to="/batches"
      className="inline-flex h-6 items-center gap-1 text-sm text-quiet hover:text-ink"
    >
      <ArrowLeft aria-hidden className="size-4" strokeWidth={1.75} />
      {batches.all}
    </Link>
  )
}

function Shown({ batch }: { batch: Batch }) {
  const { batches } = useWords()
  const format = useFormat()
  const sentence = useSentence()
  const [isCanceling, setCanceling] = useState(false)
  const isOpen = isUnderWay(batch)

  async function cancel() {
    if (!batch.job_id) return
    setCanceling(true)
    try {
      const { creditsReleased } = await cancelJob(batch.job_id)
      toast(batches.canceled(creditsReleased))
    } catch (error) {
      toast.error(sentence(await refusalOf(error)))
    }
    setCanceling(false)
  }

  const facts = [
    [batches.status, <BatchBadge key="status" batch={batch} />],
    [batches.progress, <BatchProgress key="progress" batch={batch} />],
    [batches.cost, <BatchCost key="cost" batch={batch} />],
    [batches.ratio, batch.aspect_ratio ?? batches.auto],
    [batches.created, format.moment(batch.created_at)],
  ] as const
  return (
    <Page
      title={batches.one(String(batch.id))}
      about={<Back />}
      actions={
        <>
          {isOpen && batch.job_id && (
            <Button icon={X} look="danger" busy={isCanceling} onClick={() => void cancel()}>
              {batches.cancel}
            </Button>
          )}
          {batch.completed_images > 0 && (
            <Link
              to="/gallery"
              search={{ batch: batch.id }}
              className="inline-flex h-8 items-center gap-1.5 rounded-md border border-line bg-surface px-3 text-sm font-medium hover:bg-raised"
            >
              <Images aria-hidden className="size-4" strokeWidth={1.75} />
              {batches.inGallery}
            </Link>
          )}
        </>
      }
    >
      <Card>
        <p className="text-sm whitespace-pre-wrap">{batch.prompt}</p>
        <dl className="mt-4 flex flex-wrap gap-x-10 gap-y-3 border-t border-line pt-4 text-sm">
          {facts.map(([name, value]) => (
            <div key={name} className="flex flex-col gap-1">
              <dt className="text-xs text-faint">{name}</dt>
              <dd>{value}</dd>
            </div>
          ))}
        </dl>
      </Card>
      {!isOpen && batch.completed_images < batch.total_images && <Missing batch={batch} />}
      <Pictures batch={batch} />
    </Page>
  )
}

function Pictures({ batch }: { batch: Batch }) {
  const { batches, editor, shell } = useWords()
  const { rows } = useBatchPictures(batch.id)
  const [opened, setOpened] = useState<number | null>(null)
  const pictures = rows
    .filter(({ status }) => status === 'completed')
    .sort((one, other) => (one.position ?? 0) - (other.position ?? 0))
  const awaited = isUnderWay(batch) ? Math.max(0, batch.total_images - pictures.length) : 0
  const picture = opened === null ? undefined : pictures[opened]
  const whole = useShown(picture, 'whole')
  const step = (to: number) => (pictures[to] ? () => setOpened(to) : null)
  return (
    <>
      <ul
        aria-label={batches.pictures}
        className="grid grid-cols-2 gap-2 sm:grid-cols-4 lg:grid-cols-6"
      >
        {pictures.map((one, at) => (
          <li key={one.id}>
            <Small picture={one} onOpen={() => setOpened(at)} />
          </li>
        ))}
        {Array.from({ length: awaited }, (_, at) => (
          <li key={at} aria-hidden>
            <Skeleton className="aspect-square" />
          </li>
        ))}
      </ul>
      {picture && opened !== null && (
        <Viewer
          open
          onClose={() => setOpened(null)}
          title={editor.picture((picture.position ?? 0) + 1)}
          src={whole ?? ''}
          alt={picture.prompt ?? ''}
          labels={{ close: shell.close, previous: editor.previous, following: editor.following }}
          onPrevious={step(opened - 1)}
          onFollowing={step(opened + 1)}
        >
          <p className="text-sm whitespace-pre-wrap">{picture.prompt}</p>
          <Link
            to="/gallery"
            search={{ batch: batch.id }}
            className="text-sm font-medium text-accent-strong underline underline-offset-2"
          >
            {batches.inGallery}
          </Link>
        </Viewer>
      )}
    </>
  )
}

function Small({ picture, onOpen }: { picture: Generation; onOpen: () => void }) {
  const { editor } = useWords()
  const src = useShown(picture, 'small')
  const name = editor.picture((picture.position ?? 0) + 1)
  return (
    <button
      type="button"
      aria-label={`${editor.openPicture}: ${name}`}
      onClick={onOpen}
      className="block aspect-square w-full overflow-hidden rounded-md bg-raised"
    >
      {src && <img src={src} alt="" className="develop size-full object-cover" />}
    </button>
  )
}
