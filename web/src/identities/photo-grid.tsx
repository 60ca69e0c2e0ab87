import { CircleAlert, ImagePlus, TriangleAlert, X } from 'lucide-react'
import { type DragEvent, useEffect, useRef, useState } from 'react'
import { Button, IconButton } from '@/ui/button'
import { classes } from '@/ui/classes'
import { Skeleton } from '@/ui/states'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { PHOTOS_MAX, type Photo } from './photos'
import type { Photos } from './use-photos'

/** Where photos are dropped, pasted or chosen, and those that were. */
export function PhotoGrid({ photos: { photos, add, remove }, locked }: PhotoGridProps) {
  const { identities } = useWords()
  const words = identities.form
  const { number } = useFormat()
  const input = useRef<HTMLInputElement>(null)
  const [isOver, setOver] = useState(false)

  function take(files: Iterable<File>) {
    if (!locked && add(files) > 0) toast.warning(words.tooMany(number(PHOTOS_MAX)))
  }

  useEffect(() => {
    const paste = ({ clipboardData }: ClipboardEvent) => {
      if (clipboardData?.files.length) take(clipboardData.files)
    }
    window.addEventListener('paste', paste)
    return () => window.removeEventListener('paste', paste)
  })

  function drop(event: DragEvent) {
    event.preventDefault()
    setOver(false)
    take(event.dataTransfer.files)
  }

  return (
    <section
      aria-label={words.photos}
      onDragOver={(event) => {
        event.preventDefault()
        setOver(true)
      }}
      onDragLeave={() => setOver(false)}
      onDrop={drop}
      className={classes(
        'rounded-lg border border-dashed p-4 transition-colors',
        isOver ? 'border-accent bg-accent-soft' : 'border-edge/60 bg-surface',
      )}
    >
      <div className="flex flex-wrap items-center gap-3">
        <ImagePlus aria-hidden className="size-6 text-quiet" strokeWidth={1.5} />
        <div className="min-w-48 flex-1 text-sm">
          <p className="font-medium">{words.drop}</p>
          <p className="text-xs text-quiet">{words.kinds}</p>
        </div>
        <span className="text-xs text-quiet tabular-nums" aria-live="polite">
          {words.count(number(photos.length), number(PHOTOS_MAX))}
        </span>
        <Button disabled={locked} onClick={() => input.current?.click()}>
          {words.choose}
        </Button>
        <input
          ref={input}
          type="file"
          accept="image/jpeg,image/png"
          multiple
          hidden
          onChange={(event) => {
            take(event.target.files ?? [])
            event.target.value = ''
          }}
        />
      </div>
      {photos.length > 0 && (
        <ul className="mt-4 grid grid-cols-3 gap-3 sm:grid-cols-4 md:grid-cols-6">
          {photos.map((photo, place) => (
            <li key={photo.id}>
              <Tile photo={photo} place={place} onRemove={locked ? null : remove} />
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}

interface PhotoGridProps {
  photos: Photos
  /** While they are sent nothing is added or removed. */
  locked: boolean
}

interface TileProps {
  photo: Photo
  place: number
  onRemove: ((id: string) => void) | null
}

function Tile({ photo, place, onRemove }: TileProps) {
  const { identities } = useWords()
  const words = identities.form
  const { number, bytes } = useFormat()
  const { trouble, hint, reason } = photo
  return (
    <figure className="relative">
      <div
        className={classes(
          'aspect-square overflow-hidden rounded-md border bg-raised',
          trouble ? 'border-bad' : 'border-line',
        )}
      >
        {photo.preview && (
          <img
            src={photo.preview}
            alt={words.photo(number(place + 1))}
            className={classes('size-full object-cover', trouble && 'opacity-40')}
          />
        )}
        {!photo.isLooked && <Skeleton className="size-full rounded-none" />}
        {trouble && !photo.preview && (
          <CircleAlert aria-hidden className="m-auto mt-[38%] size-6 text-bad" strokeWidth={1.5} />
        )}
      </div>
      {onRemove && (
        <IconButton
          icon={X}
          size="small"
          look="plain"
          label={words.remove(photo.file.name)}
          className="absolute top-1 right-1"
          onClick={() => onRemove(photo.id)}
        />
      )}
      <figcaption className="mt-1 text-xs">
        <span className="block truncate text-quiet">{photo.file.name}</span>
        {trouble && <span className="text-bad">{reason ?? identities.troubles[trouble]}</span>}
        {!trouble && hint && (
          <span className="flex items-start gap-1 text-warn">
            <TriangleAlert aria-hidden className="mt-0.5 size-3 shrink-0" />
            {identities.findings[hint]}
          </span>
        )}
        {!trouble && !hint && <span className="text-faint">{bytes(photo.file.size)}</span>}
      </figcaption>
    </figure>
  )
}
