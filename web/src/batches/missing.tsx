import { useNavigate } from '@tanstack/react-router'
import { RotateCcw } from 'lucide-react'
import { useState } from 'react'
import { generateBatch } from '@/api/batches'
import { requestOf } from '@/api/jobs'
import { useOrigin } from '@/api/recipes'
import { refusalOf } from '@/api/refusal'
import type { Batch, Job } from '@/api/rows'
import { useSentence } from '@/shell/sentence'
import { Button } from '@/ui/button'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'

/** Why a batch that has ended lacks pictures, what came back for them, and the way to ask again. */
export function Missing({ batch }: { batch: Batch }) {
  const { batches } = useWords()
  const format = useFormat()
  const { error_message: why, credits_held: held, credits_used: used } = batch
  const lacking = batch.total_images - batch.completed_images
  const job = useOrigin(batch.job_id).data?.job
  return (
    <section
      aria-label={batches.lacking(lacking, format.number(lacking))}
      className="flex flex-wrap items-center gap-x-6 gap-y-3 rounded-lg bg-bad-soft px-4 py-3 text-sm"
    >
      <div role="alert" className="min-w-56 flex-1 text-bad">
        <p className="font-semibold">{batches.lacking(lacking, format.number(lacking))}</p>
        <p>
          {why} {held > used && batches.back(held - used, format.number(held - used))}
        </p>
      </div>
      {job && <Again batch={batch} job={job} lacking={lacking} />}
    </section>
  )
}

interface AgainProps {
  batch: Batch
  job: Job
  lacking: number
}

/** Asks for as many as are missing, with everything else as it was. */
function Again({ batch, job, lacking }: AgainProps) {
  const { batches } = useWords()
  const navigate = useNavigate()
  const sentence = useSentence()
  // However often it is pressed, it is asked for once.
  const [key, setKey] = useState(() => crypto.randomUUID())
  const [busy, setBusy] = useState(false)
  const price = Math.round(batch.credits_held / batch.total_images)

  async function ask() {
    setBusy(true)
    const { prompt, model, aspectRatio, imageSize, identityId, imageUrls } = requestOf(job)
    try {
      const { batchId } = await generateBatch(
        {
          prompt,
          totalImages: lacking,
          model,
          aspectRatio,
          imageSize,
          identityId,
          referenceImageUrls: imageUrls,
        },
        key,
      )
      toast(batches.started)
      await navigate({ to: '/batches/$batchId', params: { batchId: String(batchId) } })
    } catch (error) {
      const refusal = await refusalOf(error)
      toast.error(sentence(refusal))
      if (!refusal.isPassing) setKey(crypto.randomUUID())
    }
    setBusy(false)
  }

  return (
    <Button icon={RotateCcw} busy={busy} onClick={() => void ask()}>
      {batches.again(lacking, lacking * price)}
    </Button>
  )
}
