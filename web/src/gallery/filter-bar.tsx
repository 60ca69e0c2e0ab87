import { ListFilter, Search, X } from 'lucide-react'
import { useEffect, useState } from 'react'
import type { GalleryFilter } from '@/api/gallery'
import { useProjects } from '@/api/projects'
import { Button } from '@/ui/button'
import { Input } from '@/ui/field'
import { Popover } from '@/ui/popover'
import { Segments } from '@/ui/segments'
import { useFormat, useWords } from '@/words'
import { FilterForm } from './filter-form'

const TYPING_MS = 300

interface FilterBarProps {
  filter: GalleryFilter
  onFilter: (filter: GalleryFilter) => void
}

/** What is shown: by text, by kind, and by everything else behind one button. */
export function FilterBar({ filter, onFilter }: FilterBarProps) {
  const { gallery } = useWords()
  const media = filter.media ?? 'all'
  return (
    <div className="flex flex-wrap items-center gap-2">
      <SearchBox text={filter.text ?? ''} onText={(text) => onFilter({ ...filter, text })} />
      <Segments
        label={gallery.media}
        value={media}
        choices={[
          { value: 'all', label: gallery.all },
          { value: 'image', label: gallery.images },
          { value: 'video', label: gallery.videos },
        ]}
        onChoose={(value) =>
          onFilter({
            ...filter,
            media: value === 'all' ? undefined : (value as GalleryFilter['media']),
          })
        }
      />
      <Popover
        label={gallery.filters}
        trigger={<Button icon={ListFilter}>{gallery.filters}</Button>}
      >
        <FilterForm filter={filter} onFilter={onFilter} />
      </Popover>
    </div>
  )
}

function SearchBox({ text, onText }: { text: string; onText: (text?: string) => void }) {
  const { gallery } = useWords()
  const [typed, setTyped] = useState(text)
  useEffect(() => setTyped(text), [text])
  useEffect(() => {
    if (typed.trim() === text) return
    const timer = setTimeout(() => onText(typed.trim() || undefined), TYPING_MS)
    return () => clearTimeout(timer)
  }, [typed, text, onText])
  return (
    <div className="relative w-full sm:w-64">
      <Search
        aria-hidden
        className="pointer-events-none absolute top-2 left-2 size-4 text-faint"
        strokeWidth={1.75}
      />
      <Input
        type="search"
        aria-label={gallery.search}
        placeholder={gallery.search}
        value={typed}
        onChange={(event) => setTyped(event.target.value)}
        className="pl-8"
      />
    </div>
  )
}

/** What narrows the gallery and has no control in sight; each is taken away by itself. */
export function FilterChips({ filter, onFilter }: FilterBarProps) {
  const { gallery } = useWords()
  const format = useFormat()
  const projects = useProjects().data
  const { project, made, batch, job, from, to } = filter
  const name = projects?.find(({ id }) => id === project)?.name ?? gallery.project
  const chips: [keyof GalleryFilter, string | false | undefined][] = [
    ['project', project && name],
    ['made', made?.replace('provider:', '')],
    ['batch', batch !== undefined && gallery.batchNumber(String(batch))],
    ['job', job && gallery.oneJob],
    ['from', from && gallery.since(format.day(from))],
    ['to', to && gallery.until(format.day(to))],
  ]
  const shown = chips.filter(([, label]) => label) as [keyof GalleryFilter, string][]
  if (shown.length === 0) return null
  return (
    <div className="flex w-full flex-wrap gap-2">
      {shown.map(([key, label]) => (
        <button
          key={key}
          type="button"
          aria-label={gallery.without(label)}
          onClick={() => onFilter({ ...filter, [key]: undefined })}
          className="flex h-7 max-w-64 items-center gap-1 rounded-full bg-accent-soft pr-2 pl-3 text-xs font-medium text-accent-strong"
        >
          <span className="truncate">{label}</span>
          <X aria-hidden className="size-4 shrink-0" strokeWidth={1.75} />
        </button>
      ))}
    </div>
  )
}
