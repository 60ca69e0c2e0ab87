import type { LucideIcon } from 'lucide-react'
import { Check } from 'lucide-react'
import { DropdownMenu as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { classes } from './classes'

interface MenuProps {
  /** The button that opens it. */
  trigger: ReactNode
  align?: 'start' | 'center' | 'end'
  side?: 'top' | 'right' | 'bottom' | 'left'
  children: ReactNode
}

export function Menu({ trigger, align = 'start', side = 'bottom', children }: MenuProps) {
  return (
    <Radix.Root modal={false}>
      <Radix.Trigger asChild>{trigger}</Radix.Trigger>
      <Radix.Portal>
        <Radix.Content
          align={align}
          side={side}
          sideOffset={6}
          collisionPadding={8}
          className={classes(
            'fade z-50 max-h-[70vh] min-w-48 overflow-y-auto rounded-lg border border-line',
            'bg-surface p-1 shadow-high',
          )}
        >
          {children}
        </Radix.Content>
      </Radix.Portal>
    </Radix.Root>
  )
}

interface MenuItemProps {
  icon?: LucideIcon
  children: ReactNode
  /** Its key, shown at the right. */
  keys?: string
  chosen?: boolean
  danger?: boolean
  disabled?: boolean
  onSelect: () => void
}

export function MenuItem(props: MenuItemProps) {
  const { icon: Icon, children, keys, chosen, danger, disabled, onSelect } = props
  return (
    <Radix.Item
      disabled={disabled}
      onSelect={onSelect}
      className={classes(
        'flex min-h-7 items-center gap-2 rounded-md px-2 py-1 text-sm outline-none select-none',
        'data-disabled:opacity-50 data-highlighted:bg-raised',
        danger && 'text-bad',
      )}
    >
      {Icon && <Icon aria-hidden className="size-4 shrink-0 opacity-80" strokeWidth={1.75} />}
      <span className="min-w-0 flex-1 truncate">{children}</span>
      {chosen && <Check aria-hidden className="size-4 text-accent" />}
      {keys && <kbd className="font-sans text-xs text-faint">{keys}</kbd>}
    </Radix.Item>
  )
}

export function MenuLabel({ children }: { children: ReactNode }) {
  return (
    <Radix.Label className="px-2 pt-2 pb-1 text-xs font-medium text-faint">{children}</Radix.Label>
  )
}

export function MenuLine() {
  return <Radix.Separator className="my-1 h-px bg-line" />
}
