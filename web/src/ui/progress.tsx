import { Progress as Radix } from 'radix-ui'
import { classes } from './classes'

interface ProgressProps {
  label: string
  /** 0 … 100; null where nobody knows. */
  percent: number | null
  className?: string
}

export function Progress({ label, percent, className }: ProgressProps) {
  return (
    <Radix.Root
      value={percent}
      aria-label={label}
      className={classes('h-1 w-full overflow-hidden rounded-full bg-pressed', className)}
    >
      <Radix.Indicator
        className={classes(
          'h-full rounded-full bg-accent transition-[width] duration-300',
          percent === null && 'w-1/3 animate-pulse',
        )}
        style={percent === null ? undefined : { width: `${percent}%` }}
      />
    </Radix.Root>
  )
}
