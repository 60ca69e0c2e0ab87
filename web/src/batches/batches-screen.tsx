import { Link, useNavigate } from '@tanstack/react-router'
import { Layers, Plus } from 'lucide-react'
import { useState } from 'react'
import { STRIP_PICTURES, useBatches, useBatchStrips, useOlderBatches } from '@/api/batches'
import type { Generation } from '@/api/rows'
import { useShown } from '@/api/shown'
import { Unread } from '@/shell/reading'
import { useSentence } from '@/shell/sentence'
import { Button } from '@/ui/button'
import { Page } from '@/ui/page'
import { Empty, Failed, Skeleton } from '@/ui/states'
import { Cell, Head, Line, Table } from '@/ui/table'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { NewBatchDialog } from './new-batch-dialog'
import { BatchBadge, BatchCost, BatchProgress } from './state'

const SKELETONS = ['a', 'b', 'c', 'd']

/** The user's batches, newest first, as they change. */
export function BatchesScreen() {
  const { batches, shell } = useWords()
  const format = useFormat()
  const navigate = useNavigate()
  const sentence = useSentence()
  const { rows: newest, isPending, error, repair } = useBatches()
  const older = useOlderBatches(newest)
  const listed = new Set(newest.map(({ id }) => id))
  const rows = [...newest, ...older.rows.filter(({ id }) => !listed.has(id))]
  const made = rows.reduce((sum, batch) => sum + batch.completed_images, 0)
  const strips = useBatchStrips(
    rows.map(({ id }) => id),
    made,
  )
  const [isAsking, setAsking] = useState(false)
  const create = (
    <Button icon={Plus} look="primary" onClick={() => setAsking(true)}>
      {batches.create}
    </Button>
  )
  if (error) return <Unread error={error} onAgain={repair} />
  return (
    <Page title={batches.title} about={batches.about} actions={rows.length > 0 && create}>
      {isPending && SKELETONS.map((name) => <Skeleton key={name} className="h-12" />)}
      {!isPending && rows.length === 0 && (
        <Empty icon={Layers} title={batches.empty} about={batches.emptyAbout} action={create} />
      )}
      {rows.length > 0 && (
        <Table label={batches.title}>
          <thead>
            <tr>
              <Head>{batches.prompt}</Head>
              <Head>{batches.status}</Head>
              <Head className="max-sm:hidden">{batches.progress}</Head>
              <Head className="max-lg:hidden">{batches.cost}</Head>
              <Head className="max-lg:hidden">{batches.created}</Head>
            </tr>
          </thead>
          <tbody>
            {rows.map((batch) => (
              <Line key={batch.id}>
                <Cell className="w-full max-w-0">
                  <Link
                    to="/batches/$batchId"
                    params={{ batchId: String(batch.id) }}
                    className="flex items-center gap-3 py-1 font-medium hover:underline"
                  >
                    <Strip pictures={strips?.get(batch.id) ?? []} />
                    <span className="line-clamp-2 lg:line-clamp-1">
                      {batch.prompt || batches.one(String(batch.id))}
                    </span>
                  </Link>
                  <div className="flex flex-col gap-1 pb-1 text-xs text-quiet lg:hidden">
                    <div className="sm:hidden">
                      <BatchProgress batch={batch} />
                    </div>
                    <span>
                      <BatchCost batch={batch} />
                      {' · '}
                      {format.since(batch.created_at)}
                    </span>
                  </div>
                </Cell>
                <Cell>
                  <BatchBadge batch={batch} />
                </Cell>
                <Cell className="max-sm:hidden">
                  <BatchProgress batch={batch} />
                </Cell>
                <Cell className="whitespace-nowrap max-lg:hidden">
                  <BatchCost batch={batch} />
                </Cell>
                <Cell className="whitespace-nowrap text-quiet max-lg:hidden">
                  {format.since(batch.created_at)}
                </Cell>
              </Line>
            ))}
          </tbody>
        </Table>
      )}
      {older.error && <Failed title={shell.failed} reason={sentence(older.error)} />}
      {older.isMore && (
        <Button className="self-center" busy={older.isReading} onClick={older.read}>
          {shell.more}
        </Button>
      )}
      <NewBatchDialog
        open={isAsking}
        onClose={() => setAsking(false)}
        onAccepted={({ batchId }) => {
          toast(batches.started)
          void navigate({ to: '/batches/$batchId', params: { batchId: String(batchId) } })
        }}
      />
    </Page>
  )
}

/** The first pictures of a batch, one beside the other. */
function Strip({ pictures }: { pictures: readonly Generation[] }) {
  return (
    <span aria-hidden className="flex shrink-0 gap-0.5">
      {Array.from({ length: STRIP_PICTURES }, (_, at) => (
        <span
          key={`place ${at}`}
          className="size-9 overflow-hidden rounded-sm bg-raised max-sm:not-first:hidden"
        >
          {pictures[at] && <Plate picture={pictures[at]} />}
        </span>
      ))}
    </span>
  )
}

function Plate({ picture }: { picture: Generation }) {
  const src = useShown(picture, 'small')
  return src ? <img src={src} alt="" className="fade size-full object-cover" /> : null
}
