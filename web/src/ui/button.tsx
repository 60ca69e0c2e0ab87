import type { LucideIcon } from 'lucide-react'
import { LoaderCircle } from 'lucide-react'
import type { ComponentProps } from 'react'
import { classes } from './classes'
import { Tooltip } from './tooltip'

type Look = 'primary' | 'plain' | 'quiet' | 'danger'

interface ButtonProps extends ComponentProps<'button'> {
  look?: Look
  size?: 'small' | 'medium'
  icon?: LucideIcon
  /** Shows that what it started is under way, and takes no second press. */
  busy?: boolean
}

const LOOKS: Record<Look, string> = {
  primary: 'bg-accent text-accent-ink border-transparent hover:bg-accent-strong',
  plain: 'bg-surface text-ink border-line hover:bg-raised',
  quiet: 'bg-transparent text-quiet border-transparent hover:bg-raised hover:text-ink',
  danger: 'bg-surface text-bad border-line hover:bg-bad-soft',
}
const SIZES = { small: 'h-7 px-2 gap-1 text-xs', medium: 'h-8 px-3 gap-1.5 text-sm' }

export function Button({
  look = 'plain',
  size = 'medium',
  icon: Icon,
  busy = false,
  className,
  children,
  disabled,
  type = 'button',
  ...rest
}: ButtonProps) {
  return (
    <button
      type={type}
      disabled={disabled || busy}
      aria-busy={busy || undefined}
      className={classes(
        'inline-flex shrink-0 items-center justify-center rounded-md border font-medium',
        'whitespace-nowrap transition-colors duration-100 select-none',
        'disabled:cursor-not-allowed disabled:opacity-50',
        LOOKS[look],
        SIZES[size],
        className,
      )}
      {...rest}
    >
      {busy ? (
        <LoaderCircle aria-hidden className="size-4 animate-spin" />
      ) : (
        Icon && <Icon aria-hidden className="size-4" strokeWidth={1.75} />
      )}
      {children}
    </button>
  )
}

interface IconButtonProps extends Omit<ButtonProps, 'icon' | 'children'> {
  icon: LucideIcon
  /** What it does: its name for readers of the screen, and its tooltip. */
  label: string
  side?: 'top' | 'right' | 'bottom' | 'left'
}

export function IconButton({
  icon: Icon,
  label,
  side = 'bottom',
  look = 'quiet',
  size = 'medium',
  busy = false,
  className,
  disabled,
  ...rest
}: IconButtonProps) {
  return (
    <Tooltip says={label} side={side}>
      <button
        type="button"
        aria-label={label}
        disabled={disabled || busy}
        className={classes(
          'inline-flex shrink-0 items-center justify-center rounded-md border',
          'transition-colors duration-100 disabled:cursor-not-allowed disabled:opacity-40',
          LOOKS[look],
          size === 'small' ? 'size-6' : 'size-8',
          className,
        )}
        {...rest}
      >
        {busy ? (
          <LoaderCircle aria-hidden className="size-4 animate-spin" />
        ) : (
          <Icon aria-hidden className="size-4" strokeWidth={1.75} />
        )}
      </button>
    </Tooltip>
  )
}
