import type { ComponentProps, ReactNode } from 'react'
import { classes } from './classes'

interface CardProps extends Omit<ComponentProps<'section'>, 'title'> {
  title?: ReactNode
  aside?: ReactNode
}

export function Card({ title, aside, className, children, ...rest }: CardProps) {
  return (
    <section
      className={classes('rounded-lg border border-line bg-surface p-4', className)}
      {...rest}
    >
      {title && (
        <header className="mb-3 flex items-center gap-2">
          <h2 className="min-w-0 flex-1 text-sm font-semibold">{title}</h2>
          {aside}
        </header>
      )}
      {children}
    </section>
  )
}
