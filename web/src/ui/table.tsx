import type { ComponentProps, ReactNode } from 'react'
import { classes } from './classes'

/** Rows that scroll sideways in a narrow window; `label` says what they are. */
export function Table({ label, children }: { label: string; children: ReactNode }) {
  return (
    <section
      aria-label={label}
      // biome-ignore lint/a11y/noNoninteractiveTabindex: what scrolls must be reachable by keys
      tabIndex={0}
      className="relative overflow-x-auto rounded-lg border border-line bg-surface"
    >
      <table className="w-full border-collapse text-sm tabular-nums">{children}</table>
    </section>
  )
}

export function Head({ className, ...rest }: ComponentProps<'th'>) {
  return (
    <th
      scope="col"
      className={classes(
        'h-9 border-b border-line px-3 text-left text-xs font-medium whitespace-nowrap text-faint',
        className,
      )}
      {...rest}
    />
  )
}

export function Cell({ className, ...rest }: ComponentProps<'td'>) {
  return <td className={classes('h-10 px-3 py-1.5 align-middle', className)} {...rest} />
}

export function Line({ className, ...rest }: ComponentProps<'tr'>) {
  return (
    <tr
      className={classes('border-b border-line last:border-0 hover:bg-raised/50', className)}
      {...rest}
    />
  )
}
