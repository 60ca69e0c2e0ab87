import { useBlocker } from '@tanstack/react-router'
import { Confirm } from '@/ui/dialog'
import { useWords } from '@/words'

/** Asks whoever leaves the page while photos are being sent. */
export function Leaving({ onLeave }: { onLeave: () => void }) {
  const { identities } = useWords()
  const words = identities.form
  const { proceed, reset, status } = useBlocker({
    shouldBlockFn: () => true,
    enableBeforeUnload: true,
    withResolver: true,
  })
  return (
    <Confirm
      open={status === 'blocked'}
      onClose={() => reset?.()}
      title={words.leaveTitle}
      about={words.leaveAbout}
      confirmLabel={words.leave}
      cancelLabel={words.stay}
      onConfirm={() => {
        onLeave()
        proceed?.()
      }}
    />
  )
}
