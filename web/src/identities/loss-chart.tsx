import {
  CartesianGrid,
  Line,
  LineChart,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts'
import type { TrainingStep } from '@/api/rows'
import { Card } from '@/ui/card'
import { Cell, Head, Line as Row, Table } from '@/ui/table'
import { useLocale, useWords } from '@/words'

const HEIGHT = 200
const ROWS_MAX = 50
const DIGITS = 4
const AXIS = { stroke: 'var(--faint)', fontSize: 11, tickLine: false, axisLine: false } as const
const MARGIN = { top: 4, right: 8, bottom: 0, left: 0 }
const POP = {
  background: 'var(--surface)',
  border: '1px solid var(--line)',
  borderRadius: 8,
  fontSize: 12,
}

/** The course of the loss; the same numbers stand in a table, evenly thinned if they are many. */
export function LossChart({ steps }: { steps: TrainingStep[] }) {
  const { identities } = useWords()
  const words = identities.loss
  const locale = useLocale()
  const written = new Intl.NumberFormat(locale, { maximumSignificantDigits: DIGITS })
  const told = steps.filter((one) => one.loss !== null)
  const last = told.at(-1)
  const every = Math.ceil(told.length / ROWS_MAX)
  const shown = told.filter((_, place) => place % every === 0)
  return (
    <Card title={words.title}>
      <p className="-mt-2 mb-3 text-xs text-faint">{words.about}</p>
      {!last ? (
        <p className="flex h-40 items-center justify-center text-sm text-quiet">{words.waiting}</p>
      ) : (
        <>
          <div
            role="img"
            aria-label={words.drawn(written.format(last.loss ?? 0), written.format(last.step))}
          >
            <ResponsiveContainer width="100%" height={HEIGHT}>
              <LineChart data={told} margin={MARGIN} accessibilityLayer={false}>
                <CartesianGrid stroke="var(--line)" vertical={false} />
                <XAxis
                  {...AXIS}
                  dataKey="step"
                  type="number"
                  domain={[0, last.steps_total]}
                  minTickGap={40}
                  allowDecimals={false}
                  tickFormatter={(value) => written.format(value)}
                />
                <YAxis {...AXIS} width={44} tickFormatter={(value) => written.format(value)} />
                <Tooltip
                  contentStyle={POP}
                  labelStyle={{ color: 'var(--quiet)' }}
                  isAnimationActive={false}
                  labelFormatter={(step) => `${words.step} ${step}`}
                  formatter={(value) => [written.format(Number(value)), words.value]}
                />
                <Line
                  type="monotone"
                  dataKey="loss"
                  stroke="var(--accent)"
                  strokeWidth={1.75}
                  dot={told.length < ROWS_MAX ? { r: 2, fill: 'var(--accent)' } : false}
                  isAnimationActive={false}
                />
              </LineChart>
            </ResponsiveContainer>
          </div>
          <details className="mt-2">
            <summary className="min-h-6 text-xs font-medium text-quiet">{words.asTable}</summary>
            <div className="mt-2 max-h-64 overflow-y-auto">
              <Table label={words.title}>
                <thead>
                  <tr>
                    <Head className="text-right">{words.step}</Head>
                    <Head className="text-right">{words.value}</Head>
                    <Head className="text-right">{words.rate}</Head>
                  </tr>
                </thead>
                <tbody>
                  {shown.map((one) => (
                    <Row key={one.step}>
                      <Cell className="text-right">{one.step}</Cell>
                      <Cell className="text-right">{written.format(one.loss ?? 0)}</Cell>
                      <Cell className="text-right">
                        {one.learning_rate === null ? '–' : written.format(one.learning_rate)}
                      </Cell>
                    </Row>
                  ))}
                </tbody>
              </Table>
            </div>
          </details>
        </>
      )}
    </Card>
  )
}
