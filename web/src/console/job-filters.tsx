import { Search, X } from 'lucide-react'
import { useRef } from 'react'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { Select } from '@/ui/select'
import { useWords } from '@/words'

const STATUSES = ['queued', 'processing', 'completed', 'failed', 'canceled']
const ANY = 'any'
const TEXTS = ['queue', 'type', 'user', 'error'] as const

/** What of the address decides which jobs are shown. */
export interface JobFilter {
  status?: string
  queue?: string
  type?: string
  user?: string
  error?: string
}

interface JobFiltersProps {
  filter: JobFilter
  onShow: (filter: JobFilter) => void
}

export function JobFilters({ filter, onShow }: JobFiltersProps) {
  const { console: told, rows } = useWords()
  const words = told.jobs
  const isFiltered = Object.values(filter).some(Boolean)

  const form = useRef<HTMLFormElement>(null)

  function apply(status: string | undefined) {
    // What was written but not applied yet counts as well.
    const written = new FormData(form.current ?? undefined)
    const said = TEXTS.map((name) => [name, String(written.get(name) ?? '').trim() || undefined])
    onShow({ status, ...Object.fromEntries(said) })
  }

  return (
    <form
      ref={form}
      onSubmit={(event) => {
        event.preventDefault()
        apply(filter.status)
      }}
      className="grid grid-cols-2 items-end gap-3 sm:grid-cols-3 xl:grid-cols-[repeat(5,1fr)_auto]"
    >
      <Field label={words.status}>
        {({ id }) => (
          <Select
            id={id}
            value={filter.status ?? ANY}
            choices={[
              { value: ANY, label: words.any },
              ...STATUSES.map((value) => ({ value, label: rows.statuses[value] ?? value })),
            ]}
            onChoose={(value) => apply(value === ANY ? undefined : value)}
          />
        )}
      </Field>
      {TEXTS.map((name) => (
        <Field key={name} label={words[name]}>
          {(given) => (
            <Input
              {...given}
              name={name}
              defaultValue={filter[name] ?? ''}
              placeholder={name === 'user' ? words.userHint : undefined}
              spellCheck={false}
              autoComplete="off"
            />
          )}
        </Field>
      ))}
      <div className="flex flex-wrap gap-2">
        <Button type="submit" icon={Search}>
          {words.apply}
        </Button>
        {isFiltered && (
          <Button look="quiet" icon={X} onClick={() => onShow({})}>
            {words.clear}
          </Button>
        )}
      </div>
    </form>
  )
}
