/** Which pictures are chosen? By click, by keys, and from one to another with Shift. */
import { useCallback, useRef, useState } from 'react'
import { picturesBetween, type Shelf } from '@/api/gallery'
import { refusalOf } from '@/api/refusal'
import type { Generation } from '@/api/rows'
import { useSentence } from '@/shell/sentence'
import { toast } from '@/ui/toast'

export const SELECTED_MAX = 500

export interface Selection {
  chosen: ReadonlyMap<string, Generation>
  toggle: (picture: Generation, index: number) => void
  /** Chooses everything from the last one toggled to this one. */
  extend: (index: number) => void
  all: (count: number) => void
  clear: () => void
}

const NONE: ReadonlyMap<string, Generation> = new Map()

export function useSelection(shelf: Shelf): Selection {
  const [chosen, setChosen] = useState(NONE)
  const anchor = useRef(0)
  const sentence = useSentence()

  const range = useCallback(
    async (from: number, to: number) => {
      const last = Math.min(to, from + SELECTED_MAX - 1)
      try {
        const pictures = await picturesBetween(shelf, from, last)
        setChosen(new Map(pictures.map((picture) => [picture.id, picture])))
      } catch (error) {
        toast.error(sentence(await refusalOf(error)))
      }
    },
    [shelf, sentence],
  )
  const toggle = useCallback((picture: Generation, index: number) => {
    anchor.current = index
    setChosen((before) => {
      const after = new Map(before)
      if (!after.delete(picture.id) && after.size < SELECTED_MAX) after.set(picture.id, picture)
      return after
    })
  }, [])
  const extend = useCallback(
    (index: number) => void range(Math.min(anchor.current, index), Math.max(anchor.current, index)),
    [range],
  )
  const all = useCallback((count: number) => void range(0, count - 1), [range])
  const clear = useCallback(() => setChosen(NONE), [])
  return { chosen, toggle, extend, all, clear }
}
