import { useNavigate, useSearch } from '@tanstack/react-router'
import { ArrowUp, Images, SearchX } from 'lucide-react'
import { useCallback, useEffect, useMemo, useRef, useState } from 'react'
import {
  type GalleryFilter,
  type Shelf,
  useFinishedPictures,
  useNewest,
  useShelfCount,
} from '@/api/gallery'
import type { Generation } from '@/api/rows'
import { Unread } from '@/shell/reading'
import { Button } from '@/ui/button'
import { Confirm } from '@/ui/dialog'
import { Empty, Skeleton } from '@/ui/states'
import { useTitle } from '@/ui/title'
import { useFormat, useWords } from '@/words'
import { isNarrow } from './filter'
import { FilterBar, FilterChips } from './filter-bar'
import { FullView } from './full-view'
import { Grid } from './grid'
import { SelectionBar } from './selection-bar'
import { useActs } from './use-acts'
import { useSelection } from './use-selection'

const SKELETONS = Array.from({ length: 24 }, (_, at) => `place ${at}`)

/** Every picture of the user, newest first. */
export function GalleryScreen() {
  const { gallery } = useWords()
  const format = useFormat()
  useTitle(gallery.title)
  const navigate = useNavigate()
  const filter = useSearch({ from: '/signed-in/gallery' })
  const newest = useNewest()
  const shelf = useShelf(filter, newest.data)
  const counted = useShelfCount(shelf)
  const count = newest.data === null ? 0 : (counted.data ?? 0)
  const error = newest.error ?? counted.error
  const isPending = newest.isPending || (newest.data !== null && counted.isPending)

  const onFilter = useCallback(
    (search: GalleryFilter) => void navigate({ to: '/gallery', search, replace: true }),
    [navigate],
  )
  return (
    <div className="relative flex h-full flex-col">
      <header className="flex flex-wrap items-center gap-x-4 gap-y-3 px-4 pt-5 pb-3 sm:px-6">
        <h1 className="flex items-baseline gap-2 text-xl font-semibold tracking-tight">
          {gallery.title}
          {!isPending && !error && (
            <span
              role="status"
              data-testid="gallery-count"
              className="text-sm font-normal text-faint tabular-nums"
            >
              {gallery.count(count, format.number(count))}
            </span>
          )}
        </h1>
        <div className="flex-1" />
        <FilterBar filter={filter} onFilter={onFilter} />
        <FilterChips filter={filter} onFilter={onFilter} />
      </header>
      {error ? (
        <Unread
          error={error}
          onAgain={() => {
            void newest.refetch()
            void counted.refetch()
          }}
        />
      ) : isPending ? (
        <Places />
      ) : count > 0 ? (
        <Shown shelf={shelf} count={count} refresh={() => void newest.refetch()} />
      ) : isNarrow(filter) ? (
        <Empty
          icon={SearchX}
          title={gallery.nothing}
          about={gallery.nothingAbout}
          action={<Button onClick={() => onFilter({})}>{gallery.clearFilters}</Button>}
        />
      ) : (
        <Empty icon={Images} title={gallery.empty} about={gallery.emptyAbout} />
      )}
    </div>
  )
}

/** The same shelf as long as it holds the same. */
function useShelf(filter: GalleryFilter, newest: string | null | undefined): Shelf {
  const told = JSON.stringify(filter)
  return useMemo(
    () => ({ filter: JSON.parse(told) as GalleryFilter, until: newest ?? '' }),
    [told, newest],
  )
}

function Places() {
  return (
    <div className="grid grid-cols-2 gap-2 overflow-hidden px-4 sm:grid-cols-4 sm:px-6 lg:grid-cols-6">
      {SKELETONS.map((name) => (
        <Skeleton key={name} className="aspect-square" />
      ))}
    </div>
  )
}

interface ShownProps {
  shelf: Shelf
  count: number
  refresh: () => void
}

function Shown({ shelf, count, refresh }: ShownProps) {
  const { gallery, shell } = useWords()
  const acts = useActs()
  const selection = useSelection(shelf)
  const [active, setActive] = useState(0)
  const [opened, setOpened] = useState<number | null>(null)
  const [doomed, setDoomed] = useState<readonly Generation[]>([])
  const arrivals = useArrivals(shelf, refresh, opened === null && selection.chosen.size === 0)
  const shown = opened === null ? null : Math.min(opened, count - 1)

  async function remove() {
    if (!(await acts.remove(doomed))) return
    setDoomed([])
    selection.clear()
  }

  return (
    <>
      {arrivals.waiting > 0 && !isNarrow(shelf.filter) && (
        <Button
          look="primary"
          icon={ArrowUp}
          className="appear absolute top-18 left-1/2 z-10 -translate-x-1/2 rounded-full! shadow-high"
          onClick={arrivals.take}
        >
          {gallery.arrived(arrivals.waiting)}
        </Button>
      )}
      <Grid
        key={JSON.stringify(shelf.filter)}
        shelf={shelf}
        count={count}
        selection={selection}
        active={active}
        onActive={setActive}
        onOpen={setOpened}
        opened={opened}
        onRemove={(focused) =>
          setDoomed(selection.chosen.size > 0 ? [...selection.chosen.values()] : [focused])
        }
        onTop={arrivals.setTop}
      />
      {selection.chosen.size > 0 && (
        <SelectionBar
          selection={selection}
          onRemove={() => setDoomed([...selection.chosen.values()])}
        />
      )}
      {shown !== null && (
        <FullView
          shelf={shelf}
          count={count}
          index={shown}
          onShow={(index) => {
            setOpened(index)
            if (index !== null) setActive(index)
          }}
          onRemove={(picture) => setDoomed([picture])}
        />
      )}
      <Confirm
        open={doomed.length > 0}
        onClose={() => setDoomed([])}
        title={gallery.removeTitle(doomed.length)}
        about={gallery.removeAbout(doomed.length)}
        confirmLabel={shell.remove}
        cancelLabel={shell.cancel}
        busy={acts.busy}
        onConfirm={() => void remove()}
      />
    </>
  )
}

/** Pictures that were finished since: shown at once to whoever looks at the newest, else told of. */
function useArrivals(shelf: Shelf, refresh: () => void, isFree: boolean) {
  const [waiting, setWaiting] = useState<ReadonlySet<string>>(new Set())
  const isTop = useRef(true)
  const take = useCallback(() => {
    setWaiting(new Set())
    refresh()
  }, [refresh])
  useFinishedPictures(
    shelf,
    useCallback((id: string) => setWaiting((before) => new Set(before).add(id)), []),
  )
  useEffect(() => {
    if (waiting.size > 0 && isTop.current && isFree) take()
  }, [waiting, isFree, take])
  const setTop = useCallback((now: boolean) => {
    isTop.current = now
  }, [])
  return { waiting: waiting.size, take, setTop }
}
