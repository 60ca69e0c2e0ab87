import type { ComponentProps, ReactNode } from 'react'
import { useId } from 'react'
import { classes } from './classes'

const BOX =
  'w-full rounded-md border border-edge/60 bg-surface text-sm text-ink transition-colors ' +
  'hover:border-edge focus-visible:border-accent focus-visible:outline-1 ' +
  'focus-visible:outline-offset-0 disabled:opacity-50 aria-invalid:border-bad'

interface FieldProps {
  label: string
  hint?: ReactNode
  wrong?: string | null
  className?: string
  children: (given: { id: string; 'aria-describedby'?: string; 'aria-invalid'?: true }) => ReactNode
}

/** A labelled control, with a hint and what is wrong with its value. */
export function Field({ label, hint, wrong, className, children }: FieldProps) {
  const id = useId()
  const about = hint || wrong ? `${id}-about` : undefined
  return (
    <div className={classes('flex flex-col gap-1', className)}>
      <label htmlFor={id} className="text-xs font-medium text-quiet">
        {label}
      </label>
      {children({ id, 'aria-describedby': about, 'aria-invalid': wrong ? true : undefined })}
      {about && (
        <p id={about} className={classes('text-xs', wrong ? 'text-bad' : 'text-faint')}>
          {wrong ?? hint}
        </p>
      )}
    </div>
  )
}

export function Input({ className, ...rest }: ComponentProps<'input'>) {
  return <input className={classes(BOX, 'h-8 px-2', className)} {...rest} />
}

export function Textarea({ className, ...rest }: ComponentProps<'textarea'>) {
  return <textarea className={classes(BOX, 'resize-none px-2 py-1.5', className)} {...rest} />
}

interface CheckboxProps extends Omit<ComponentProps<'input'>, 'type'> {
  label: ReactNode
}

export function Checkbox({ label, className, ...rest }: CheckboxProps) {
  return (
    <label className={classes('flex cursor-pointer items-start gap-2 text-sm', className)}>
      <input type="checkbox" className="mt-0.5 size-4 shrink-0 accent-accent" {...rest} />
      <span>{label}</span>
    </label>
  )
}
