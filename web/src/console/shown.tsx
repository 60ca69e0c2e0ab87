import { RotateCw } from 'lucide-react'
import type { ReactNode } from 'react'
import { Button } from '@/ui/button'
import { classes } from '@/ui/classes'
import { Failed, Skeleton } from '@/ui/states'
import { useWords } from '@/words'

interface Asked<T> {
  data: T | undefined
  error: Error | null
  isPlaceholderData: boolean
  refetch: () => unknown
}

interface ShownProps<T> {
  of: Asked<T>
  children: (data: T) => ReactNode
}

/** A view: its shape while it is read, its content, and what is wrong with either. */
export function Shown<T>({ of, children }: ShownProps<T>) {
  const { console: told, shell } = useWords()
  const again = (
    <Button icon={RotateCw} onClick={() => void of.refetch()}>
      {shell.retry}
    </Button>
  )
  if (of.data === undefined)
    return of.error ? (
      <Failed title={shell.failed} reason={of.error.message} action={again} />
    ) : (
      <div className="flex flex-col gap-3">
        <Skeleton className="h-20" />
        <Skeleton className="h-56" />
      </div>
    )
  return (
    <div
      aria-busy={of.isPlaceholderData || undefined}
      className={classes('flex flex-col gap-5', of.isPlaceholderData && 'opacity-60')}
    >
      {of.error && (
        <p role="status" className="rounded-md bg-warn-soft px-3 py-2 text-sm text-warn">
          {told.stale(of.error.message)}
        </p>
      )}
      {children(of.data)}
    </div>
  )
}
