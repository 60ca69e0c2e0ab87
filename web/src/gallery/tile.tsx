import { Check, Play } from 'lucide-react'
import { memo } from 'react'
import type { Generation } from '@/api/rows'
import { useShown } from '@/api/shown'
import { classes } from '@/ui/classes'
import { useWords } from '@/words'

interface TileProps {
  picture: Generation | undefined
  index: number
  column: number
  /** The one that Tab leads to. */
  isTabStop: boolean
  isChosen: boolean
  /** Whether a click chooses instead of opening. */
  isChoosing: boolean
  onOpen: (index: number) => void
  onToggle: (index: number) => void
  onExtend: (index: number) => void
  onFocus: (index: number) => void
}

/** One picture of the grid. */
export const Tile = memo(function Tile(props: TileProps) {
  const { picture, index, column, isTabStop, isChosen, isChoosing } = props
  const { gallery, shell } = useWords()
  const src = useShown(picture, 'small')
  const name = picture?.prompt || gallery.unnamed

  function press(event: React.MouseEvent) {
    if (event.shiftKey) props.onExtend(index)
    else if (event.metaKey || event.ctrlKey || isChoosing) props.onToggle(index)
    else props.onOpen(index)
  }

  return (
    // biome-ignore lint/a11y/useFocusableInteractive: its button is
    <div
      role="gridcell"
      aria-colindex={column + 1}
      aria-selected={isChosen}
      className="group relative min-w-0"
    >
      <button
        type="button"
        data-index={index}
        tabIndex={isTabStop ? 0 : -1}
        aria-label={picture ? name : shell.loading}
        onClick={press}
        onFocus={() => props.onFocus(index)}
        className={classes(
          'block aspect-square w-full overflow-hidden rounded-md bg-raised transition-transform',
          isChosen && 'scale-92 ring-3 ring-accent',
          !picture && 'sweep',
        )}
      >
        {src && (
          <img
            src={src}
            alt=""
            decoding="async"
            draggable={false}
            className="fade size-full object-cover"
          />
        )}
      </button>
      {picture?.media_type === 'video' && <Length picture={picture} />}
      {picture && (
        <button
          type="button"
          tabIndex={-1}
          aria-label={isChosen ? gallery.unchoose(name) : gallery.choose(name)}
          aria-pressed={isChosen}
          onClick={(event) => (event.shiftKey ? props.onExtend(index) : props.onToggle(index))}
          className={classes(
            'absolute top-1.5 left-1.5 flex size-6 items-center justify-center rounded-full border',
            'transition-opacity focus-visible:opacity-100',
            isChosen
              ? 'border-transparent bg-accent text-accent-ink'
              : 'border-line bg-surface/90 text-faint',
            !isChosen &&
              !isChoosing &&
              'opacity-0 group-focus-within:opacity-100 group-hover:opacity-100 pointer-coarse:opacity-100',
          )}
        >
          <Check aria-hidden className="size-4" strokeWidth={2.25} />
        </button>
      )}
    </div>
  )
})

function Length({ picture }: { picture: Generation }) {
  const { gallery } = useWords()
  const seconds = picture.metadata.seconds
  return (
    <span className="pointer-events-none absolute right-1.5 bottom-1.5 flex h-5 items-center gap-1 rounded-full bg-black/70 px-1.5 text-2xs font-medium text-white tabular-nums">
      <Play aria-hidden className="size-3 fill-current" strokeWidth={0} />
      {typeof seconds === 'number' ? gallery.seconds(Math.round(seconds)) : gallery.video}
    </span>
  )
}
