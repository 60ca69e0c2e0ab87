import { TriangleAlert } from 'lucide-react'
import { useView } from '@/api/operator'
import { Badge } from '@/ui/badge'
import { Page } from '@/ui/page'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useFormat, useWords } from '@/words'
import { Shown } from './shown'

/** The catalogue, and which of its models end. */
export function ModelsPart() {
  const { console: told } = useWords()
  const words = told.models
  const format = useFormat()
  const view = useView('models')
  return (
    <Page title={told.parts.models} about={words.about}>
      <Shown of={view}>
        {({ models }) => {
          const ending = models.filter((one) => one.isEnding && one.isAvailable).length
          return (
            <>
              {ending > 0 && (
                <p className="flex items-center gap-2 rounded-md bg-warn-soft px-3 py-2 text-sm text-warn">
                  <TriangleAlert aria-hidden className="size-4 shrink-0" strokeWidth={1.75} />
                  {words.warning(ending, format.number(ending))}
                </p>
              )}
              <Table label={told.parts.models}>
                <thead>
                  <tr>
                    <Head>{told.jobs.model}</Head>
                    <Head>{told.providers.provider}</Head>
                    <Head>{words.prices}</Head>
                    <Head>{told.jobs.status}</Head>
                    <Head>{words.ends}</Head>
                  </tr>
                </thead>
                <tbody>
                  {models.map((one) => (
                    <Line key={one.id}>
                      <Cell>
                        <div className="font-medium">{one.title}</div>
                        <code className="font-mono text-xs text-faint">{one.id}</code>
                      </Cell>
                      <Cell>{one.provider}</Cell>
                      <Cell>
                        {Object.entries(one.prices)
                          .map(([size, price]) => `${size}: ${format.number(price)}`)
                          .join(', ')}
                      </Cell>
                      <Cell>
                        <Badge tone={one.isAvailable ? 'good' : 'plain'}>
                          {one.isAvailable ? words.available : words.unavailable}
                        </Badge>
                      </Cell>
                      <Cell>
                        <Ends
                          day={one.shutdownAt}
                          days={one.endsInDays}
                          isEnding={one.isEnding}
                          replacedBy={one.replacedBy}
                        />
                      </Cell>
                    </Line>
                  ))}
                </tbody>
              </Table>
            </>
          )
        }}
      </Shown>
    </Page>
  )
}

interface EndsProps {
  day: string | null
  days: number | null
  isEnding: boolean
  replacedBy: string | null
}

function Ends({ day, days, isEnding, replacedBy }: EndsProps) {
  const { console: told } = useWords()
  const format = useFormat()
  if (day === null || days === null) return '–'
  const says =
    days < 0 ? told.models.ended(format.day(day)) : told.models.endsIn(days, format.number(days))
  return (
    <>
      <Badge tone={isEnding ? (days < 0 ? 'bad' : 'warn') : 'plain'}>{says}</Badge>
      <div className="mt-0.5 text-xs text-quiet">
        {days >= 0 && format.day(day)} {replacedBy && told.models.replacedBy(replacedBy)}
      </div>
    </>
  )
}
