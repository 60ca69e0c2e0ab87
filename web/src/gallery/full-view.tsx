import { Download, ImagePlus, RotateCcw, Trash2 } from 'lucide-react'
import { useEffect } from 'react'
import { PAGE_ROWS, type Shelf, useShelfPages } from '@/api/gallery'
import { useOrigin } from '@/api/recipes'
import type { Generation } from '@/api/rows'
import { useShown } from '@/api/shown'
import { Button } from '@/ui/button'
import { Viewer } from '@/ui/viewer'
import { useWords } from '@/words'
import { Recipe } from './recipe'
import { Stage } from './stage'
import { useActs } from './use-acts'

interface FullViewProps {
  shelf: Shelf
  count: number
  index: number
  onShow: (index: number | null) => void
  onRemove: (picture: Generation) => void
}

/** Has a picture come before it is asked for. */
function useFetched(picture: Generation | undefined): void {
  const src = useShown(picture?.media_type === 'image' ? picture : undefined, 'whole')
  useEffect(() => {
    if (src) new Image().src = src
  }, [src])
}

/** One picture as large as the window, with its recipe. */
export function FullView({ shelf, count, index, onShow, onRemove }: FullViewProps) {
  const { gallery, shell, editor } = useWords()
  const acts = useActs()
  const page = Math.floor(index / PAGE_ROWS)
  const { at } = useShelfPages(shelf, page, page)
  const picture = at(index)
  const { data: origin, isLoading } = useOrigin(picture?.job_id ?? null)
  useFetched(at(index + 1))
  useFetched(at(index - 1))
  if (!picture) return null
  return (
    <Viewer
      open
      onClose={() => onShow(null)}
      returnTo={() => document.querySelector<HTMLElement>(`[data-index="${index}"]`)}
      title={picture.prompt || gallery.unnamed}
      src={picture.url ?? ''}
      alt={picture.prompt ?? ''}
      stage={<Stage picture={picture} />}
      labels={{ close: shell.close, previous: editor.previous, following: editor.following }}
      onPrevious={index > 0 ? () => onShow(index - 1) : null}
      onFollowing={index + 1 < count ? () => onShow(index + 1) : null}
    >
      <Recipe picture={picture} origin={origin} />
      <div className="flex flex-col gap-2">
        {picture.media_type === 'image' && (
          <>
            <Button
              icon={RotateCcw}
              look="primary"
              busy={acts.busy}
              // Without its job a recipe would lack half of what it was made from.
              disabled={isLoading}
              onClick={() => void acts.makeAgain(picture, origin?.job ?? null)}
            >
              {gallery.makeAgain}
            </Button>
            <Button icon={ImagePlus} onClick={() => void acts.use(picture)}>
              {gallery.use}
            </Button>
          </>
        )}
        <Button icon={Download} onClick={() => void acts.save([picture])}>
          {gallery.download}
        </Button>
        <Button icon={Trash2} look="danger" onClick={() => onRemove(picture)}>
          {shell.remove}
        </Button>
      </div>
    </Viewer>
  )
}
