import { UserX } from 'lucide-react'
import { useState } from 'react'
import { revokeWorker, useView } from '@/api/operator'
import type { Workers } from '@/api/operator-rows'
import { refusalOf } from '@/api/refusal'
import { Badge } from '@/ui/badge'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/dialog'
import { Page } from '@/ui/page'
import { Cell, Head, Line, Table } from '@/ui/table'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { Held, Leases } from './leases'
import { Nothing, Title } from './pieces'
import { Shown } from './shown'

const EVERY_MS = 2000

/** Who works, on what, and until when. */
export function WorkersPart() {
  const { console: told } = useWords()
  const view = useView('workers', {}, EVERY_MS)
  return (
    <Page title={told.parts.workers} about={told.workers.about}>
      <Shown of={view}>
        {(workers) => (
          <>
            <Inside workers={workers.inside} />
            <Outside workers={workers.outside} />
            <Leases leases={workers.leases} />
            <Held jobs={workers.jobs} />
          </>
        )}
      </Shown>
    </Page>
  )
}

function Inside({ workers }: { workers: Workers['inside'] }) {
  const { console: told } = useWords()
  const words = told.workers
  const { number } = useFormat()
  return (
    <section className="flex flex-col gap-2">
      <Title>{words.inside}</Title>
      <Table label={words.inside}>
        <thead>
          <tr>
            <Head>{words.worker}</Head>
            <Head className="text-right">{words.leases}</Head>
            <Head className="text-right">{words.jobs}</Head>
          </tr>
        </thead>
        <tbody>
          {workers.map((one) => (
            <Line key={one.name}>
              <Cell>
                <code className="font-mono text-xs">{one.name}</code>{' '}
                {one.isAnswering && <Badge>{words.answers}</Badge>}
              </Cell>
              <Cell className="text-right">{number(one.leases)}</Cell>
              <Cell className="text-right">{number(one.jobsHeld)}</Cell>
            </Line>
          ))}
        </tbody>
      </Table>
    </section>
  )
}

function Outside({ workers }: { workers: Workers['outside'] }) {
  const { console: told } = useWords()
  const words = told.workers
  const format = useFormat()
  const [asks, setAsks] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)

  async function revoke(name: string) {
    setBusy(true)
    try {
      await revokeWorker(name)
      toast.success(words.revoked)
      setAsks(null)
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    } finally {
      setBusy(false)
    }
  }

  return (
    <section className="flex flex-col gap-2">
      <Title>{words.outside}</Title>
      {workers.length === 0 ? (
        <Nothing>{words.noOutside}</Nothing>
      ) : (
        <Table label={words.outside}>
          <thead>
            <tr>
              <Head>{words.worker}</Head>
              <Head>{told.jobs.status}</Head>
              <Head>{words.queues}</Head>
              <Head>{words.seen}</Head>
              <Head className="text-right">{words.jobs}</Head>
              <Head>
                <span className="sr-only">{words.revoke}</span>
              </Head>
            </tr>
          </thead>
          <tbody>
            {workers.map((one) => (
              <Line key={one.name}>
                <Cell className="font-medium">{one.name}</Cell>
                <Cell>
                  <Badge tone={one.isAlive ? 'good' : 'warn'}>
                    {one.isAlive ? words.alive : words.silent}
                  </Badge>
                </Cell>
                <Cell>{one.queues.join(', ')}</Cell>
                <Cell>{one.seenAt ? format.since(one.seenAt) : words.never}</Cell>
                <Cell className="text-right">{format.number(one.jobsHeld)}</Cell>
                <Cell className="text-right">
                  <Button
                    size="small"
                    look="danger"
                    icon={UserX}
                    aria-label={`${words.revoke}: ${one.name}`}
                    onClick={() => setAsks(one.name)}
                  >
                    {words.revoke}
                  </Button>
                </Cell>
              </Line>
            ))}
          </tbody>
        </Table>
      )}
      <Confirm
        open={asks !== null}
        onClose={() => setAsks(null)}
        title={words.revokeTitle(asks ?? '')}
        about={words.revokeAbout}
        confirmLabel={words.revoke}
        cancelLabel={told.acts.back}
        busy={isBusy}
        onConfirm={() => asks && void revoke(asks)}
      />
    </section>
  )
}
