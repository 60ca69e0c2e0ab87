import { Ban, FastForward, RotateCcw } from 'lucide-react'
import { useState } from 'react'
import { actOnJobs, type JobAct } from '@/api/operator'
import type { Outcome } from '@/api/operator-rows'
import { refusalOf } from '@/api/refusal'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/dialog'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { Outcomes } from './outcomes'

interface Acted {
  id: string
  status: string
  nextRunAt: string | null
}

interface JobActsProps {
  jobs: readonly Acted[]
  /** Called when the outcomes were seen. */
  onDone: (told: readonly Outcome[]) => void
}

const GOES_ON = ['queued', 'processing']

/** What may be done to jobs: each act is offered if it fits one of them. */
export function JobActs({ jobs, onDone }: JobActsProps) {
  const { console: told } = useWords()
  const words = told.acts
  const { number } = useFormat()
  const [asks, setAsks] = useState<'cancel' | 'requeue' | null>(null)
  const [busy, setBusy] = useState<JobAct | null>(null)
  const [outcomes, setOutcomes] = useState<Outcome[] | null>(null)
  const going = jobs.some((job) => GOES_ON.includes(job.status))
  const ended = jobs.some((job) => job.status === 'failed' || job.status === 'canceled')
  const waits = jobs.some((job) => job.status === 'queued' && job.nextRunAt !== null)

  async function perform(name: JobAct) {
    setBusy(name)
    try {
      setOutcomes(
        await actOnJobs(
          name,
          jobs.map((job) => job.id),
        ),
      )
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    } finally {
      setBusy(null)
      setAsks(null)
    }
  }

  const count = [jobs.length, number(jobs.length)] as const
  return (
    <>
      {waits && (
        <Button
          icon={FastForward}
          busy={busy === 'retry_now'}
          onClick={() => void perform('retry_now')}
        >
          {words.retry_now}
        </Button>
      )}
      {ended && (
        <Button icon={RotateCcw} onClick={() => setAsks('requeue')}>
          {words.requeue}
        </Button>
      )}
      {going && (
        <Button look="danger" icon={Ban} onClick={() => setAsks('cancel')}>
          {words.cancel}
        </Button>
      )}
      <Confirm
        open={asks === 'cancel'}
        onClose={() => setAsks(null)}
        title={words.cancelTitle(...count)}
        about={words.cancelAbout}
        confirmLabel={words.cancel}
        cancelLabel={words.back}
        busy={busy !== null}
        onConfirm={() => void perform('cancel')}
      />
      <Confirm
        open={asks === 'requeue'}
        onClose={() => setAsks(null)}
        title={words.requeueTitle(...count)}
        about={words.requeueAbout}
        confirmLabel={words.requeue}
        cancelLabel={words.back}
        busy={busy !== null}
        onConfirm={() => void perform('requeue')}
      />
      {outcomes && (
        <Outcomes
          outcomes={outcomes}
          onClose={() => {
            setOutcomes(null)
            onDone(outcomes)
          }}
        />
      )}
    </>
  )
}
