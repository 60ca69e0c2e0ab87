import { Link } from '@tanstack/react-router'
import type { LogLine } from '@/api/operator-rows'
import { Badge, type Tone } from '@/ui/badge'
import { Cell, Head, Line, Table } from '@/ui/table'
import { useWords } from '@/words'
import { useLengths } from './lengths'
import { LINK } from './pieces'

const TONES: Record<string, Tone> = { warning: 'warn', error: 'bad' }

/** What functions said, line by line, each with the way to its function and its call. */
export function LogLines({ lines }: { lines: LogLine[] }) {
  const { console: told } = useWords()
  const words = told.logs
  const { instant, length } = useLengths()
  return (
    <Table label={told.parts.logs}>
      <thead>
        <tr>
          <Head>{words.at}</Head>
          <Head>{words.level}</Head>
          <Head>{words.function}</Head>
          <Head>{words.message}</Head>
          <Head>{words.status}</Head>
          <Head>{words.request}</Head>
        </tr>
      </thead>
      <tbody>
        {lines.map((line) => (
          <Line key={line.id} className="align-top">
            <Cell className="text-xs whitespace-nowrap text-quiet">{instant(line.at)}</Cell>
            <Cell>
              <Badge tone={TONES[line.level]}>{words.levels[line.level] ?? line.level}</Badge>
            </Cell>
            <Cell className="whitespace-nowrap">
              <Link to="/console/logs" search={{ function: line.function }} className={LINK}>
                {line.function}
              </Link>
            </Cell>
            <Cell className="max-w-[36rem] font-mono text-xs break-words whitespace-pre-wrap">
              {line.message}
            </Cell>
            <Cell className="whitespace-nowrap">
              {line.status} {line.seconds !== null && `· ${length(line.seconds)}`}
            </Cell>
            <Cell>
              <Link
                to="/console/logs"
                search={{ request: line.requestId }}
                aria-label={`${line.requestId.slice(0, 8)}: ${words.ofRequest}`}
                className={LINK}
              >
                <code className="font-mono text-xs">{line.requestId.slice(0, 8)}</code>
              </Link>
            </Cell>
          </Line>
        ))}
      </tbody>
    </Table>
  )
}
