import { Play } from 'lucide-react'
import { useState } from 'react'
import { unpause, useView } from '@/api/operator'
import type { Pause, Providers } from '@/api/operator-rows'
import { refusalOf } from '@/api/refusal'
import { Badge } from '@/ui/badge'
import { Button } from '@/ui/button'
import { Page } from '@/ui/page'
import { Cell, Head, Line, Table } from '@/ui/table'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { useLengths } from './lengths'
import { Nothing, Title, Window } from './pieces'
import { Shown } from './shown'

const EVERY_MS = 5000

/** What providers made, at what price, and what must rest. */
export function ProvidersPart() {
  const { console: told } = useWords()
  const [minutes, setMinutes] = useState(60)
  const view = useView('providers', { minutes }, EVERY_MS)
  return (
    <Page
      title={told.parts.providers}
      about={told.providers.about}
      actions={<Window minutes={minutes} choices={told.windows} onChoose={setMinutes} />}
    >
      <Shown of={view}>
        {({ models, pauses }) => (
          <>
            <Pauses pauses={pauses} />
            <Made models={models} />
          </>
        )}
      </Shown>
    </Page>
  )
}

function Pauses({ pauses }: { pauses: Pause[] }) {
  const { console: told } = useWords()
  const words = told.providers
  const { instant } = useLengths()
  const [busy, setBusy] = useState<Pause | null>(null)

  async function end(pause: Pause) {
    setBusy(pause)
    try {
      await unpause(pause.provider, pause.model)
      toast.success(words.unpaused)
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    } finally {
      setBusy(null)
    }
  }

  return (
    <section className="flex flex-col gap-2">
      <Title>{words.pauses}</Title>
      {pauses.length === 0 ? (
        <Nothing>{words.noPauses}</Nothing>
      ) : (
        <ul className="flex flex-col gap-2">
          {pauses.map((pause) => (
            <li
              key={`${pause.provider} ${pause.model}`}
              className="flex flex-wrap items-center gap-3 rounded-lg border border-line bg-surface p-3 pl-4"
            >
              <div className="min-w-0 flex-1 text-sm">
                <p className="flex flex-wrap items-center gap-2">
                  <span className="font-medium">{pause.provider}</span>
                  <span className="text-quiet">{pause.model || words.wholeProvider}</span>
                  <Badge tone="warn">{pause.cause}</Badge>
                </p>
                <p className="text-xs break-words text-quiet">{pause.detail}</p>
                <p className="text-xs text-faint">
                  {words.until} <time dateTime={pause.until}>{instant(pause.until)}</time>
                </p>
              </div>
              <Button icon={Play} busy={busy === pause} onClick={() => void end(pause)}>
                {words.unpause}
              </Button>
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

function Made({ models }: { models: Providers['models'] }) {
  const { console: told } = useWords()
  const words = told.providers
  const { number, percent } = useFormat()
  if (models.length === 0) return <Nothing>{words.empty}</Nothing>
  return (
    <Table label={told.parts.providers}>
      <thead>
        <tr>
          <Head>{words.provider}</Head>
          <Head>{told.jobs.model}</Head>
          <Head className="text-right">{told.parts.jobs}</Head>
          <Head className="text-right">{words.outputs}</Head>
          <Head className="text-right">{words.spend}</Head>
          <Head className="text-right">{words.errorRate}</Head>
          <Head>{words.errors}</Head>
        </tr>
      </thead>
      <tbody>
        {models.map((one) => (
          <Line key={`${one.provider} ${one.model}`}>
            <Cell>{one.provider}</Cell>
            <Cell>
              <span className="font-medium">{one.model}</span>{' '}
              {one.pausedUntil && <Badge tone="warn">{words.paused}</Badge>}
            </Cell>
            <Cell className="text-right">{number(one.jobs)}</Cell>
            <Cell className="text-right">{number(one.outputs)}</Cell>
            <Cell className="text-right">{number(one.credits)}</Cell>
            <Cell className={`text-right ${one.failed ? 'font-semibold text-bad' : ''}`}>
              {percent(one.failed / Math.max(1, one.completed + one.failed))}
            </Cell>
            <Cell>
              <Causes causes={one.causes} />
            </Cell>
          </Line>
        ))}
      </tbody>
    </Table>
  )
}

function Causes({ causes }: { causes: Providers['models'][number]['causes'] }) {
  const { console: told } = useWords()
  const words = told.providers
  const { number } = useFormat()
  return (
    <ul className="flex flex-col gap-0.5 text-xs">
      {causes.map((one) => (
        <li key={one.cause}>
          <code className="font-mono">{one.cause}</code>{' '}
          <span className="text-quiet">
            {[
              one.failed && words.failed(number(one.failed)),
              one.retried && words.retried(number(one.retried)),
            ]
              .filter(Boolean)
              .join(', ')}
          </span>
        </li>
      ))}
    </ul>
  )
}
