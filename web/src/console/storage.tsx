import { useView } from '@/api/operator'
import { Badge } from '@/ui/badge'
import { Page } from '@/ui/page'
import { Progress } from '@/ui/progress'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { Shown } from './shown'

/** What is stored, by bucket. */
export function StoragePart() {
  const { console: told } = useWords()
  const words = told.storage
  const { number, bytes, percent } = useFormat()
  const view = useView('storage')
  const most = view.data && words.about(bytes(view.data.objectBytesMax))
  return (
    <Page title={told.parts.storage} about={most}>
      <Shown of={view}>
        {({ buckets }) => {
          const whole = buckets.reduce((sum, one) => sum + one.bytes, 0)
          const objects = buckets.reduce((sum, one) => sum + one.objects, 0)
          return (
            <Table label={told.parts.storage}>
              <thead>
                <tr>
                  <Head>{words.bucket}</Head>
                  <Head>{words.access}</Head>
                  <Head className="text-right">{words.objects}</Head>
                  <Head className="text-right">{words.bytes}</Head>
                  <Head className="w-32">{words.share}</Head>
                  <Head className="text-right">{words.limit}</Head>
                  <Head>{words.types}</Head>
                </tr>
              </thead>
              <tbody>
                {buckets.map((one) => (
                  <Line key={one.bucket}>
                    <Cell className="font-medium">{one.bucket}</Cell>
                    <Cell>
                      <Badge tone={one.isPublic ? 'accent' : 'plain'}>
                        {one.isPublic ? words.public : words.private}
                      </Badge>
                    </Cell>
                    <Cell className="text-right">{number(one.objects)}</Cell>
                    <Cell className="text-right whitespace-nowrap">{bytes(one.bytes)}</Cell>
                    <Cell>
                      <Progress
                        label={`${words.share}: ${percent(one.bytes / Math.max(1, whole))}`}
                        percent={(100 * one.bytes) / Math.max(1, whole)}
                      />
                    </Cell>
                    <Cell className="text-right whitespace-nowrap">
                      {one.bytesMax === null ? '–' : bytes(one.bytesMax)}
                    </Cell>
                    <Cell className="max-w-56 text-xs text-quiet">
                      {one.mediaTypes?.join(', ') ?? words.anyType}
                    </Cell>
                  </Line>
                ))}
              </tbody>
              <tfoot>
                <tr className="font-semibold">
                  <Cell colSpan={2}>{words.whole}</Cell>
                  <Cell className="text-right">{number(objects)}</Cell>
                  <Cell className="text-right whitespace-nowrap">{bytes(whole)}</Cell>
                  <Cell colSpan={3} />
                </tr>
              </tfoot>
            </Table>
          )
        }}
      </Shown>
    </Page>
  )
}
