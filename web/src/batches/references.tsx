import { ImagePlus, LoaderCircle, X } from 'lucide-react'
import { useRef } from 'react'
import { PICTURE_KINDS } from '@/api/pictures'
import { Button, IconButton } from '@/ui/button'
import { useWords } from '@/words'
import type { useReferences } from './use-references'

interface ReferencesProps {
  references: ReturnType<typeof useReferences>
  most: number
}

/** The chosen pictures, and the way to choose more. */
export function References({ references, most }: ReferencesProps) {
  const { batches } = useWords()
  const chooser = useRef<HTMLInputElement>(null)
  const { pictures } = references
  return (
    <section aria-label={batches.references} className="flex flex-col gap-2">
      <div className="flex items-center gap-2">
        <h3 className="flex-1 text-xs font-medium text-quiet">{batches.references}</h3>
        <Button
          icon={ImagePlus}
          size="small"
          disabled={pictures.length >= most}
          onClick={() => chooser.current?.click()}
        >
          {batches.choosePictures}
        </Button>
        <input
          ref={chooser}
          type="file"
          hidden
          multiple
          accept={PICTURE_KINDS.join()}
          aria-label={batches.choosePictures}
          onChange={(event) => {
            references.add([...(event.target.files ?? [])].slice(0, most - pictures.length))
            event.target.value = ''
          }}
        />
      </div>
      {pictures.length > 0 && (
        <ul className="flex flex-wrap gap-2">
          {pictures.map(({ id, preview, stored }) => (
            <li key={id} className="relative size-16 overflow-hidden rounded-md bg-raised">
              <img src={preview} alt={batches.reference} className="size-full object-cover" />
              {!stored && (
                <LoaderCircle
                  aria-hidden
                  className="absolute top-6 left-6 size-4 animate-spin text-white"
                />
              )}
              <IconButton
                icon={X}
                size="small"
                look="plain"
                label={batches.removeReference}
                className="absolute top-0.5 right-0.5"
                onClick={() => references.remove(id)}
              />
            </li>
          ))}
        </ul>
      )}
    </section>
  )
}
