import type { LucideIcon } from 'lucide-react'
import { CircleAlert } from 'lucide-react'
import type { ReactNode } from 'react'
import { classes } from './classes'

interface EmptyProps {
  icon: LucideIcon
  title: string
  about?: ReactNode
  action?: ReactNode
}

/** What stands where there are no rows yet: why, and what makes the first. */
export function Empty({ icon: Icon, title, about, action }: EmptyProps) {
  return (
    <div className="flex flex-col items-center gap-2 px-6 py-16 text-center">
      <div className="mb-1 flex size-11 items-center justify-center rounded-full bg-raised">
        <Icon aria-hidden className="size-5 text-quiet" strokeWidth={1.5} />
      </div>
      <p className="font-medium">{title}</p>
      {about && <p className="max-w-96 text-sm text-quiet">{about}</p>}
      {action && <div className="mt-3">{action}</div>}
    </div>
  )
}

interface FailedProps {
  title: string
  reason: string
  action?: ReactNode
}

/** What stands where rows could not be read. */
export function Failed({ title, reason, action }: FailedProps) {
  return (
    <div role="alert" className="flex flex-col items-center gap-2 px-6 py-16 text-center">
      <CircleAlert aria-hidden className="size-6 text-bad" strokeWidth={1.5} />
      <p className="font-medium">{title}</p>
      <p className="max-w-96 text-sm text-quiet">{reason}</p>
      {action && <div className="mt-3">{action}</div>}
    </div>
  )
}

/** The shape of something that is being read. */
export function Skeleton({ className }: { className?: string }) {
  return <div aria-hidden className={classes('sweep rounded-md', className)} />
}
