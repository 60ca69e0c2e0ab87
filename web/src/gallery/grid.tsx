import { useVirtualizer } from '@tanstack/react-virtual'
import { useCallback, useEffect, useLayoutEffect, useRef, useState } from 'react'
import { PAGE_ROWS, type Shelf, useShelfPages } from '@/api/gallery'
import type { Generation } from '@/api/rows'
import { Unread } from '@/shell/reading'
import { useWords } from '@/words'
import { Tile } from './tile'
import { useGridKeys } from './use-grid-keys'
import type { Selection } from './use-selection'

const TILE_PIXELS = 196
const GAP = 8
const COLUMNS_MIN = 2
const ROWS_BEYOND = 3

interface GridProps {
  shelf: Shelf
  count: number
  selection: Selection
  /** The place on the shelf that the keys are at. */
  active: number
  onActive: (index: number) => void
  onOpen: (index: number) => void
  /** The place that is shown as large as the window. */
  opened: number | null
  /** Told what the focus is on. */
  onRemove: (focused: Generation) => void
  /** Told whether the newest are in sight. */
  onTop: (isTop: boolean) => void
}

/** The shelf as a grid of squares, of which only those in sight are there. */
export function Grid(props: GridProps) {
  const { shelf, count, selection, active, onActive, onOpen, onTop } = props
  const { gallery } = useWords()
  const scroller = useRef<HTMLDivElement>(null)
  const { columns, side } = useColumns(scroller)
  const virtual = useVirtualizer({
    count: Math.ceil(count / columns),
    getScrollElement: () => scroller.current,
    estimateSize: () => side + GAP,
    overscan: ROWS_BEYOND,
    paddingStart: 4,
    paddingEnd: 24,
  })
  useLayoutEffect(() => virtual.measure(), [virtual, side])

  const lines = virtual.getVirtualItems()
  const first = (lines[0]?.index ?? 0) * columns
  const last = Math.max(first, Math.min(count - 1, ((lines.at(-1)?.index ?? 0) + 1) * columns - 1))
  const pages = useShelfPages(shelf, Math.floor(first / PAGE_ROWS), Math.floor(last / PAGE_ROWS))
  const { at } = pages

  const { onKeyDown, go } = useGridKeys({
    ...props,
    columns,
    at,
    grid: scroller,
    onReveal: (index) => virtual.scrollToIndex(Math.floor(index / columns)),
    rowsSeen: Math.max(1, lines.length - 2 * ROWS_BEYOND),
  })
  // Whoever went on in the full view comes back to the picture that was seen last.
  const shown = useRef(props.opened)
  useEffect(() => {
    if (shown.current !== null && props.opened === null) go(active, false)
    shown.current = props.opened
  })
  const tabStop = active >= first && active <= last ? active : first

  useEffect(() => onTop((virtual.scrollOffset ?? 0) < side), [onTop, virtual.scrollOffset, side])

  const latest = useRef(at)
  latest.current = at
  const { toggle: choose } = selection
  const toggle = useCallback(
    (index: number) => {
      const picture = latest.current(index)
      if (picture) choose(picture, index)
    },
    [choose],
  )
  if (pages.error) return <Unread error={pages.error} onAgain={pages.retry} />
  return (
    <div ref={scroller} data-scroll-root className="min-h-0 flex-1 overflow-y-auto px-4 sm:px-6">
      <div
        role="grid"
        aria-label={gallery.title}
        aria-rowcount={Math.ceil(count / columns)}
        aria-colcount={columns}
        aria-multiselectable
        onKeyDown={onKeyDown}
        className="relative w-full"
        style={{ height: virtual.getTotalSize() }}
      >
        {lines.map((line) => (
          // biome-ignore lint/a11y/useFocusableInteractive: its tiles are
          <div
            key={line.key}
            role="row"
            aria-rowindex={line.index + 1}
            className="absolute inset-x-0 top-0 grid"
            style={{
              gridTemplateColumns: `repeat(${columns}, minmax(0, 1fr))`,
              gap: GAP,
              transform: `translateY(${line.start}px)`,
            }}
          >
            {Array.from(
              { length: Math.min(columns, count - line.index * columns) },
              (_, column) => {
                const index = line.index * columns + column
                const picture = at(index)
                return (
                  <Tile
                    key={index}
                    picture={picture}
                    index={index}
                    column={column}
                    isTabStop={index === tabStop}
                    isChosen={picture !== undefined && selection.chosen.has(picture.id)}
                    isChoosing={selection.chosen.size > 0}
                    onOpen={onOpen}
                    onToggle={toggle}
                    onExtend={selection.extend}
                    onFocus={onActive}
                  />
                )
              },
            )}
          </div>
        ))}
      </div>
    </div>
  )
}

/** How many tiles stand side by side, and how wide each is. */
function useColumns(scroller: React.RefObject<HTMLDivElement | null>) {
  const [width, setWidth] = useState(0)
  useLayoutEffect(() => {
    const element = scroller.current
    if (!element) return
    const measure = () => {
      const { paddingLeft, paddingRight } = getComputedStyle(element)
      setWidth(
        element.clientWidth - Number.parseFloat(paddingLeft) - Number.parseFloat(paddingRight),
      )
    }
    measure()
    const observer = new ResizeObserver(measure)
    observer.observe(element)
    return () => observer.disconnect()
  }, [scroller])
  const columns = Math.max(COLUMNS_MIN, Math.floor((width + GAP) / (TILE_PIXELS + GAP)))
  return { columns, side: Math.max(1, (width - GAP * (columns - 1)) / columns) }
}
