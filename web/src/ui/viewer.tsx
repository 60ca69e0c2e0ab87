import { ChevronLeft, ChevronRight, X } from 'lucide-react'
import { Dialog as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { IconButton } from './button'
import { useReturn } from './focus'

interface ViewerProps {
  open: boolean
  onClose: () => void
  title: string
  src: string
  alt: string
  labels: { close: string; previous: string; following: string }
  /** Null where there is none. */
  onPrevious: (() => void) | null
  onFollowing: (() => void) | null
  /** Stands in place of the picture, for what is more than a picture. */
  stage?: ReactNode
  /** Where the focus goes afterwards, if not where it came from. */
  returnTo?: () => HTMLElement | null | undefined
  /** What stands beside the picture. */
  children: ReactNode
}

/** One picture as large as the window; the arrow keys go on to the others. */
export function Viewer(props: ViewerProps) {
  const { open, onClose } = props
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fade fixed inset-0 z-40 bg-veil backdrop-blur-sm" />
        <Inside {...props} />
      </Radix.Portal>
    </Radix.Root>
  )
}

function Inside(props: ViewerProps) {
  const { onClose, title, src, alt, labels, onPrevious, onFollowing, stage, children } = props
  const onCloseAutoFocus = useReturn(props.returnTo)
  return (
    <Radix.Content
      aria-describedby={undefined}
      onCloseAutoFocus={onCloseAutoFocus}
      // On itself, not on a button, so that the arrow keys are the pictures'.
      onOpenAutoFocus={(event) => {
        event.preventDefault()
        if (event.currentTarget instanceof HTMLElement) event.currentTarget.focus()
      }}
      onKeyDown={(event) => {
        if (event.key === 'ArrowLeft') onPrevious?.()
        if (event.key === 'ArrowRight') onFollowing?.()
      }}
      className="appear fixed inset-3 z-50 flex flex-col overflow-hidden rounded-xl border border-line bg-surface shadow-high sm:inset-6 md:flex-row"
    >
      <Radix.Title className="sr-only">{title}</Radix.Title>
      <div className="relative flex min-h-0 min-w-0 flex-1 items-center justify-center bg-canvas p-4">
        {stage ?? (
          <img
            key={src}
            src={src}
            alt={alt}
            className="fade max-h-full max-w-full rounded-md object-contain"
          />
        )}
        {onPrevious && (
          <IconButton
            icon={ChevronLeft}
            label={labels.previous}
            look="plain"
            onClick={onPrevious}
            className="absolute left-3"
          />
        )}
        {onFollowing && (
          <IconButton
            icon={ChevronRight}
            label={labels.following}
            look="plain"
            onClick={onFollowing}
            className="absolute right-3"
          />
        )}
      </div>
      <div className="flex max-h-[45%] w-full shrink-0 flex-col overflow-y-auto border-line max-md:border-t md:max-h-full md:w-80 md:border-l">
        <div className="flex flex-col gap-4 p-5 md:pt-12">{children}</div>
      </div>
      {/* Above whatever scrolls below it: where there is no Escape key it is the way out. */}
      <div className="absolute top-2 right-2">
        <IconButton icon={X} label={labels.close} look="plain" onClick={onClose} />
      </div>
    </Radix.Content>
  )
}
