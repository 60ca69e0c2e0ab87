import {
  Bar,
  CartesianGrid,
  ComposedChart,
  Legend,
  Line,
  ResponsiveContainer,
  Tooltip,
  XAxis,
  YAxis,
} from 'recharts'
import { useView } from '@/api/operator'
import type { Bucket, Throughput } from '@/api/operator-rows'
import { Card } from '@/ui/card'
import { useFormat, useWords } from '@/words'
import { BucketTable } from './bucket-table'
import { type Lengths, useLengths } from './lengths'
import { Nothing, Truncated } from './pieces'
import { Shown } from './shown'

const EVERY_MS = 10_000
const HEIGHT = 220
const AXIS = { stroke: 'var(--faint)', fontSize: 11, tickLine: false, axisLine: false } as const
const POP = {
  contentStyle: {
    background: 'var(--surface)',
    border: '1px solid var(--line)',
    borderRadius: 8,
    fontSize: 12,
  },
  labelStyle: { color: 'var(--quiet)' },
  isAnimationActive: false,
} as const
const LEGEND = { iconSize: 8, wrapperStyle: { fontSize: 12 } } as const
// Lines are told apart by their dashes.
const LEGEND_OF_LINES = { ...LEGEND, iconType: 'plainline', iconSize: 18 } as const
const MARGIN = { top: 4, right: 4, bottom: 0, left: 0 }

/** What ended and how long it took, bucket by bucket; the same numbers stand in tables. */
export function Charts({ minutes }: { minutes: number }) {
  const { console: told } = useWords()
  const { number } = useFormat()
  const view = useView('throughput', { minutes }, EVERY_MS)
  return (
    <Shown of={view}>
      {(throughput) => (
        <>
          <div className="grid gap-4 xl:grid-cols-2">
            <Ended throughput={throughput} />
            <Latency throughput={throughput} />
          </div>
          <details className="rounded-lg border border-line bg-surface">
            <summary className="min-h-9 px-4 py-2 text-sm font-medium">
              {told.charts.asTable}
            </summary>
            <div className="px-4 pb-4">
              <BucketTable buckets={throughput.buckets} />
            </div>
          </details>
          <Truncated count={number(throughput.jobsSeenMax)} when={throughput.isTruncated} />
        </>
      )}
    </Shown>
  )
}

const sum = (buckets: Bucket[], of: (bucket: Bucket) => number) =>
  buckets.reduce((total, bucket) => total + of(bucket), 0)

const timeOf = (lengths: Lengths) => (when: unknown) => lengths.clock(String(when))

function Ended({ throughput }: { throughput: Throughput }) {
  const { console: told } = useWords()
  const words = told.charts
  const { number } = useFormat()
  const lengths = useLengths()
  const { buckets, bucketSeconds } = throughput
  const drawn = words.drawn(
    number(sum(buckets, (bucket) => bucket.completed)),
    number(sum(buckets, (bucket) => bucket.failed)),
  )
  const parts = [
    ['completed', words.completed, 'var(--good)'],
    ['failed', words.failed, 'var(--bad)'],
    ['canceled', words.canceled, 'var(--warn)'],
  ] as const
  return (
    <Card title={words.throughput}>
      <p className="-mt-2 mb-3 text-xs text-faint">
        {words.throughputAbout(lengths.length(bucketSeconds))}
      </p>
      <div role="img" aria-label={drawn}>
        <ResponsiveContainer width="100%" height={HEIGHT}>
          <ComposedChart data={buckets} margin={MARGIN} accessibilityLayer={false}>
            <CartesianGrid stroke="var(--line)" vertical={false} />
            <XAxis {...AXIS} dataKey="beginsAt" tickFormatter={lengths.minute} minTickGap={48} />
            <YAxis {...AXIS} width={32} allowDecimals={false} />
            <Tooltip {...POP} labelFormatter={timeOf(lengths)} />
            <Legend {...LEGEND} />
            {parts.map(([key, name, colour]) => (
              <Bar
                key={key}
                stackId="ended"
                dataKey={key}
                name={name}
                fill={colour}
                isAnimationActive={false}
              />
            ))}
            <Line
              type="step"
              dataKey="accepted"
              name={words.accepted}
              stroke="var(--quiet)"
              strokeDasharray="3 3"
              dot={false}
              isAnimationActive={false}
            />
          </ComposedChart>
        </ResponsiveContainer>
      </div>
    </Card>
  )
}

function Latency({ throughput }: { throughput: Throughput }) {
  const { console: told } = useWords()
  const words = told.charts
  const lengths = useLengths()
  const last = throughput.buckets.findLast((bucket) => bucket.secondsP50 !== null)
  const lines = [
    ['secondsP50', words.whole50, 'var(--accent)', undefined],
    ['secondsP95', words.whole95, 'var(--accent)', '4 3'],
    ['queuedSecondsP50', words.queued50, 'var(--quiet)', undefined],
    ['queuedSecondsP95', words.queued95, 'var(--quiet)', '4 3'],
  ] as const
  return (
    <Card title={words.latency}>
      <p className="-mt-2 mb-3 text-xs text-faint">{words.latencyAbout}</p>
      {last ? (
        <div
          role="img"
          aria-label={words.drawnLatency(
            lengths.length(last.secondsP50),
            lengths.length(last.secondsP95),
          )}
        >
          <ResponsiveContainer width="100%" height={HEIGHT}>
            <ComposedChart data={throughput.buckets} margin={MARGIN} accessibilityLayer={false}>
              <CartesianGrid stroke="var(--line)" vertical={false} />
              <XAxis {...AXIS} dataKey="beginsAt" tickFormatter={lengths.minute} minTickGap={48} />
              <YAxis {...AXIS} width={56} tickFormatter={(value) => lengths.length(value)} />
              <Tooltip
                {...POP}
                labelFormatter={timeOf(lengths)}
                formatter={(value) => lengths.length(Number(value))}
              />
              <Legend {...LEGEND_OF_LINES} />
              {lines.map(([key, name, colour, dashes]) => (
                <Line
                  key={key}
                  type="monotone"
                  dataKey={key}
                  name={name}
                  stroke={colour}
                  strokeDasharray={dashes}
                  strokeWidth={1.75}
                  dot={{ r: 1.5, fill: colour, strokeDasharray: '0' }}
                  connectNulls
                  isAnimationActive={false}
                />
              ))}
            </ComposedChart>
          </ResponsiveContainer>
        </div>
      ) : (
        <Nothing>{words.empty}</Nothing>
      )}
    </Card>
  )
}
