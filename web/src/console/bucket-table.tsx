import type { Bucket } from '@/api/operator-rows'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { useLengths } from './lengths'
import { Nothing } from './pieces'

/** The numbers of the charts, for whoever reads rather than sees them: buckets with something. */
export function BucketTable({ buckets }: { buckets: Bucket[] }) {
  const { console: told } = useWords()
  const words = told.charts
  const { number } = useFormat()
  const { clock, length } = useLengths()
  const busy = buckets.filter(
    ({ accepted, completed, failed, canceled }) => accepted + completed + failed + canceled > 0,
  )
  if (busy.length === 0) return <Nothing>{words.empty}</Nothing>
  const heads = [words.accepted, words.completed, words.failed, words.canceled]
  const lengths = [words.whole50, words.whole95, words.queued50, words.queued95]
  return (
    <Table label={words.asTable}>
      <thead>
        <tr>
          <Head>{words.from}</Head>
          {[...heads, ...lengths].map((head) => (
            <Head key={head} className="text-right">
              {head}
            </Head>
          ))}
        </tr>
      </thead>
      <tbody>
        {busy.toReversed().map((bucket) => (
          <Line key={bucket.beginsAt}>
            <Cell>{clock(bucket.beginsAt)}</Cell>
            <Cell className="text-right">{number(bucket.accepted)}</Cell>
            <Cell className="text-right">{number(bucket.completed)}</Cell>
            <Cell className="text-right">{number(bucket.failed)}</Cell>
            <Cell className="text-right">{number(bucket.canceled)}</Cell>
            <Cell className="text-right">{length(bucket.secondsP50)}</Cell>
            <Cell className="text-right">{length(bucket.secondsP95)}</Cell>
            <Cell className="text-right">{length(bucket.queuedSecondsP50)}</Cell>
            <Cell className="text-right">{length(bucket.queuedSecondsP95)}</Cell>
          </Line>
        ))}
      </tbody>
    </Table>
  )
}
