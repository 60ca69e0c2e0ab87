import { type Batch, isUnderWay } from '@/api/rows'
import { Badge, type Tone } from '@/ui/badge'
import { Progress } from '@/ui/progress'
import { useFormat, useWords } from '@/words'

const CANCELED = 'canceled'

/** What became of a batch: some of its pictures are not all, and a canceled one did not fail. */
export function BatchBadge({ batch }: { batch: Batch }) {
  const { batches, rows } = useWords()
  const isShort = batch.status === 'completed' && batch.completed_images < batch.total_images
  const isCanceled = batch.status === 'failed' && batch.error_code === CANCELED
  const tones: Record<Batch['status'], Tone> = {
    pending: 'plain',
    processing: 'accent',
    completed: isShort ? 'warn' : 'good',
    failed: isCanceled ? 'plain' : 'bad',
  }
  const told = isCanceled ? CANCELED : batch.status
  return (
    <Badge tone={tones[batch.status]}>
      {isShort ? batches.partly : (rows.statuses[told] ?? told)}
    </Badge>
  )
}

/** How many of its pictures are there. */
export function BatchProgress({ batch }: { batch: Batch }) {
  const { batches } = useWords()
  const format = useFormat()
  const { completed_images: made, failed_images: failed, total_images: total } = batch
  const told = batches.made(format.number(made), format.number(total))
  return (
    <div className="flex min-w-32 flex-col gap-1.5">
      <span>
        {told}
        {failed > 0 && <span className="text-bad"> · {batches.failed(failed)}</span>}
      </span>
      {isUnderWay(batch) && (
        <Progress label={told} percent={Math.max(batch.progress, (made / total) * 100)} />
      )}
    </div>
  )
}

/** What it cost, or what is held for it. */
export function BatchCost({ batch }: { batch: Batch }) {
  const { batches } = useWords()
  if (isUnderWay(batch)) return batches.heldCredits(batch.credits_held)
  return batches.credits(batch.credits_used)
}
