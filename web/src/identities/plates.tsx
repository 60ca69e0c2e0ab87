import { type ReactNode, useState } from 'react'
import { classes } from '@/ui/classes'
import { Viewer } from '@/ui/viewer'
import { useWords } from '@/words'
import { Picture, useOwnPicture } from './picture'

const WHOLE_PIXELS = 1600

interface Plate {
  /** Where its owner reads it. */
  url: string
  name: string
  /** What stands below it. */
  note?: ReactNode
}

/** Pictures side by side; each can be seen as large as the window. */
export function Plates({ plates, className }: { plates: readonly Plate[]; className?: string }) {
  const [opened, setOpened] = useState<number | null>(null)
  const plate = opened === null ? undefined : plates[opened]
  const step = (to: number) => (plates[to] ? () => setOpened(to) : null)
  return (
    <>
      <ul className={classes('grid gap-3', className)}>
        {plates.map(({ url, name, note }, place) => (
          <li key={url}>
            <button
              type="button"
              onClick={() => setOpened(place)}
              className="block w-full rounded-md"
            >
              <Picture
                url={url}
                alt={name}
                className="aspect-square rounded-md border border-line"
              />
            </button>
            {note}
          </li>
        ))}
      </ul>
      {plate && opened !== null && (
        <Large
          plate={plate}
          onClose={() => setOpened(null)}
          steps={[step(opened - 1), step(opened + 1)]}
        />
      )}
    </>
  )
}

interface LargeProps {
  plate: Plate
  onClose: () => void
  steps: [(() => void) | null, (() => void) | null]
}

function Large({ plate, onClose, steps: [onPrevious, onFollowing] }: LargeProps) {
  const { shell, editor } = useWords()
  const src = useOwnPicture(plate.url, WHOLE_PIXELS)
  return (
    <Viewer
      open
      onClose={onClose}
      title={plate.name}
      src={src ?? ''}
      alt={plate.name}
      stage={src ? undefined : <span className="sweep size-full rounded-md" />}
      labels={{ close: shell.close, previous: editor.previous, following: editor.following }}
      onPrevious={onPrevious}
      onFollowing={onFollowing}
    >
      <p className="font-medium">{plate.name}</p>
      {plate.note}
    </Viewer>
  )
}
