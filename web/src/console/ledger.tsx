import { RotateCw, ShieldAlert, ShieldCheck } from 'lucide-react'
import { useView } from '@/api/operator'
import { Button } from '@/ui/button'
import { Page } from '@/ui/page'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { useLengths } from './lengths'
import { Figure } from './pieces'
import { Shown } from './shown'

/** Whether every credit adds up. */
export function LedgerPart() {
  const { console: told } = useWords()
  const words = told.ledger
  const { number } = useFormat()
  const { instant } = useLengths()
  const view = useView('ledger')
  return (
    <Page
      title={told.parts.ledger}
      about={words.about}
      actions={
        <Button icon={RotateCw} busy={view.isFetching} onClick={() => void view.refetch()}>
          {words.verify}
        </Button>
      }
    >
      <Shown of={view}>
        {(ledger) => {
          const Icon = ledger.holdsTrue ? ShieldCheck : ShieldAlert
          return (
            <>
              <p
                role="status"
                className={`flex items-center gap-3 rounded-lg px-4 py-3 ${ledger.holdsTrue ? 'bg-good-soft text-good' : 'bg-bad-soft text-bad'}`}
              >
                <Icon aria-hidden className="size-6 shrink-0" strokeWidth={1.5} />
                <span>
                  <span className="block font-semibold">
                    {ledger.holdsTrue ? words.holdsTrue : words.holdsFalse}
                  </span>
                  <span className="text-sm">{words.at(instant(ledger.at))}</span>
                </span>
              </p>
              <dl className="grid grid-cols-2 gap-3 md:grid-cols-4">
                <Figure label={words.accounts} value={number(ledger.accounts)} />
                <Figure label={words.holds} value={number(ledger.holds)} />
                <Figure label={words.open} value={number(ledger.openHolds)} />
                <Figure label={words.jobs} value={number(ledger.jobs)} />
              </dl>
              {ledger.findings.length > 0 && (
                <Table label={words.holdsFalse}>
                  <thead>
                    <tr>
                      <Head>{words.rule}</Head>
                      <Head>{words.subject}</Head>
                      <Head>{words.detail}</Head>
                    </tr>
                  </thead>
                  <tbody>
                    {ledger.findings.map((one) => (
                      <Line key={`${one.rule} ${one.subject}`}>
                        <Cell>{one.rule}</Cell>
                        <Cell>
                          <code className="font-mono text-xs">{one.subject}</code>
                        </Cell>
                        <Cell className="text-quiet">{one.detail}</Cell>
                      </Line>
                    ))}
                  </tbody>
                </Table>
              )}
            </>
          )
        }}
      </Shown>
    </Page>
  )
}
