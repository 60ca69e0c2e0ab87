import { useNavigate, useSearch } from '@tanstack/react-router'
import { ScrollText, Search, X } from 'lucide-react'
import { useRef } from 'react'
import { usePages } from '@/api/operator'
import { More } from '@/shell/reading'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { Page } from '@/ui/page'
import { Select } from '@/ui/select'
import { Empty } from '@/ui/states'
import { useWords } from '@/words'
import { LogLines } from './log-lines'
import { Shown } from './shown'

const EVERY_MS = 3000
const ANY = 'any'
const LEVELS = ['info', 'warning', 'error']

/** What of the address decides which lines are shown. */
export interface LogFilter {
  function?: string
  level?: string
  request?: string
}

/** What functions said. */
export function LogsPart() {
  const { console: told } = useWords()
  const words = told.logs
  const filter = useSearch({ from: '/signed-in/console/logs' })
  const navigate = useNavigate()
  const show = (search: LogFilter) => void navigate({ to: '/console/logs', search })
  const asked = { function: filter.function, level: filter.level, requestId: filter.request }
  const pages = usePages('logs', asked, EVERY_MS)
  const lines = pages.data?.pages.flatMap((page) => page.lines) ?? []
  return (
    <Page title={told.parts.logs} about={words.about}>
      <Filters key={JSON.stringify(filter)} filter={filter} onShow={show} />
      <Shown of={pages}>
        {() =>
          lines.length === 0 ? (
            <Empty icon={ScrollText} title={words.empty} />
          ) : (
            <>
              <LogLines lines={lines} />
              <More of={pages} />
            </>
          )
        }
      </Shown>
    </Page>
  )
}

interface FiltersProps {
  filter: LogFilter
  onShow: (filter: LogFilter) => void
}

function Filters({ filter, onShow }: FiltersProps) {
  const { console: told } = useWords()
  const words = told.logs

  const form = useRef<HTMLFormElement>(null)

  function apply(level: string | undefined) {
    const written = new FormData(form.current ?? undefined)
    const said = (name: string) => String(written.get(name) ?? '').trim() || undefined
    onShow({ level, function: said('function'), request: said('request') })
  }

  return (
    <form
      ref={form}
      onSubmit={(event) => {
        event.preventDefault()
        apply(filter.level)
      }}
      className="grid grid-cols-2 items-end gap-3 sm:grid-cols-[repeat(3,1fr)_auto]"
    >
      <Field label={words.level}>
        {({ id }) => (
          <Select
            id={id}
            value={filter.level ?? ANY}
            choices={[
              { value: ANY, label: told.jobs.any },
              ...LEVELS.map((value) => ({ value, label: words.levels[value] ?? value })),
            ]}
            onChoose={(value) => apply(value === ANY ? undefined : value)}
          />
        )}
      </Field>
      {(['function', 'request'] as const).map((name) => (
        <Field key={name} label={words[name]}>
          {(given) => (
            <Input
              {...given}
              name={name}
              defaultValue={filter[name] ?? ''}
              spellCheck={false}
              autoComplete="off"
            />
          )}
        </Field>
      ))}
      <div className="flex flex-wrap gap-2">
        <Button type="submit" icon={Search}>
          {told.jobs.apply}
        </Button>
        {Object.values(filter).some(Boolean) && (
          <Button look="quiet" icon={X} onClick={() => onShow({})}>
            {told.jobs.clear}
          </Button>
        )}
      </div>
    </form>
  )
}
