import { X } from 'lucide-react'
import { Dialog as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { Button, IconButton } from './button'
import { classes } from './classes'
import { useReturn } from './focus'

interface DialogProps {
  open: boolean
  onClose: () => void
  title: string
  /** One sentence below the title. */
  about?: ReactNode
  closeLabel: string
  wide?: boolean
  /** It holds what somebody wrote: a press beside it does not close it. */
  holds?: boolean
  children: ReactNode
  /** The row of buttons at its foot. */
  actions?: ReactNode
}

export function Dialog(props: DialogProps) {
  const { open, onClose } = props
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fade fixed inset-0 z-40 bg-veil" />
        <Inside {...props} />
      </Radix.Portal>
    </Radix.Root>
  )
}

function Inside(props: DialogProps) {
  const { onClose, title, about, closeLabel, wide, holds, children, actions } = props
  const onCloseAutoFocus = useReturn()
  return (
    <Radix.Content
      {...(about ? {} : { 'aria-describedby': undefined })}
      onCloseAutoFocus={onCloseAutoFocus}
      onInteractOutside={(event) => holds && event.preventDefault()}
      className={classes(
        'appear fixed top-1/2 left-1/2 z-50 flex max-h-[88vh] w-[calc(100vw-24px)] -translate-x-1/2',
        '-translate-y-1/2 flex-col rounded-xl border border-line bg-surface shadow-high',
        wide ? 'max-w-4xl' : 'max-w-md',
      )}
    >
      <header className="flex items-start gap-3 py-4 pr-14 pb-3 pl-5">
        <div className="min-w-0 flex-1">
          <Radix.Title className="text-lg font-semibold">{title}</Radix.Title>
          {about && (
            <Radix.Description className="mt-0.5 text-sm text-quiet">{about}</Radix.Description>
          )}
        </div>
      </header>
      <div className="min-h-0 flex-1 overflow-y-auto px-5 pb-5">{children}</div>
      {actions && (
        <footer className="flex justify-end gap-2 border-t border-line px-5 py-3">{actions}</footer>
      )}
      {/* The last to be reached by keys: a dialog opens on its content. */}
      <div className="absolute top-3 right-3">
        <IconButton icon={X} label={closeLabel} onClick={onClose} />
      </div>
    </Radix.Content>
  )
}

interface ConfirmProps {
  open: boolean
  onClose: () => void
  title: string
  about: ReactNode
  confirmLabel: string
  cancelLabel: string
  busy?: boolean
  onConfirm: () => void
}

/** Asks once more before something that cannot be undone. */
export function Confirm(props: ConfirmProps) {
  const { open, onClose } = props
  return (
    <Radix.Root open={open} onOpenChange={(next) => !next && onClose()}>
      <Radix.Portal>
        <Radix.Overlay className="fade fixed inset-0 z-40 bg-veil" />
        <Question {...props} />
      </Radix.Portal>
    </Radix.Root>
  )
}

function Question(props: ConfirmProps) {
  const { onClose, title, about, confirmLabel, cancelLabel, busy, onConfirm } = props
  const onCloseAutoFocus = useReturn()
  return (
    <Radix.Content
      role="alertdialog"
      onCloseAutoFocus={onCloseAutoFocus}
      className={classes(
        'appear fixed top-1/2 left-1/2 z-50 w-[calc(100vw-24px)] max-w-sm -translate-x-1/2',
        '-translate-y-1/2 rounded-xl border border-line bg-surface p-5 shadow-high',
      )}
    >
      <Radix.Title className="text-lg font-semibold">{title}</Radix.Title>
      <Radix.Description className="mt-1 text-sm text-quiet">{about}</Radix.Description>
      <div className="mt-5 flex justify-end gap-2">
        <Button onClick={onClose}>{cancelLabel}</Button>
        <Button look="danger" busy={busy} onClick={onConfirm}>
          {confirmLabel}
        </Button>
      </div>
    </Radix.Content>
  )
}
