/** The grid by keys: arrows go from one to the next, Enter opens, Space chooses, Delete removes. */
import { useEffect, useRef } from 'react'
import type { Generation } from '@/api/rows'
import type { Selection } from './use-selection'

interface GridKeys {
  grid: React.RefObject<HTMLElement | null>
  count: number
  columns: number
  rowsSeen: number
  active: number
  selection: Selection
  at: (index: number) => Generation | undefined
  onActive: (index: number) => void
  /** Scrolls until it is there. */
  onReveal: (index: number) => void
  onOpen: (index: number) => void
  onRemove: (focused: Generation) => void
}

export function useGridKeys(keys: GridKeys) {
  const { grid, count, columns, rowsSeen, active, selection, at, onActive } = keys
  const wanted = useRef<number | null>(null)

  // After every drawing: the one wanted may have to be scrolled to first.
  useEffect(() => {
    if (wanted.current === null) return
    const tile = grid.current?.querySelector<HTMLElement>(`[data-index="${wanted.current}"]`)
    if (!tile) return
    tile.focus({ preventScroll: true })
    wanted.current = null
  })

  function go(to: number, isExtending: boolean): void {
    const index = Math.max(0, Math.min(count - 1, to))
    wanted.current = index
    onActive(index)
    keys.onReveal(index)
    if (isExtending) selection.extend(index)
  }

  const onKeyDown = (event: React.KeyboardEvent) => {
    const { key } = event
    // Where the focus is, which a drawing that is still to come may not know yet.
    const own = (event.target as HTMLElement).closest<HTMLElement>('[data-index]')?.dataset.index
    const index = own === undefined ? active : Number(own)
    const isHeld = event.ctrlKey || event.metaKey
    const step = stepOf(key, isHeld, index, { count, columns, rowsSeen })
    const act = { a: isHeld, Enter: true, ' ': true, Delete: true, Escape: true }[key]
    if (step === null && !act) return
    event.preventDefault()
    if (step !== null) return go(step, event.shiftKey)
    const picture = at(index)
    if (key === 'a') selection.all(count)
    else if (key === 'Enter') keys.onOpen(index)
    else if (key === 'Escape') selection.clear()
    else if (event.shiftKey && key === ' ') selection.extend(index)
    else if (picture && key === 'Delete') keys.onRemove(picture)
    else if (picture) selection.toggle(picture, index)
  }
  return { onKeyDown, go }
}

type Shape = Pick<GridKeys, 'count' | 'columns' | 'rowsSeen'>

/** Where a key leads from a place; null for a key that leads nowhere. */
function stepOf(key: string, isHeld: boolean, from: number, shape: Shape): number | null {
  const { count, columns, rowsSeen } = shape
  const row = from - (from % columns)
  const steps: Record<string, number> = {
    ArrowLeft: from - 1,
    ArrowRight: from + 1,
    ArrowUp: from < columns ? from : from - columns,
    ArrowDown: from + columns,
    PageUp: from - columns * rowsSeen,
    PageDown: from + columns * rowsSeen,
    Home: isHeld ? 0 : row,
    End: isHeld ? count - 1 : row + columns - 1,
  }
  return steps[key] ?? null
}
