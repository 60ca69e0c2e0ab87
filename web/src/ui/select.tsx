import { Check, ChevronDown } from 'lucide-react'
import { Select as Radix } from 'radix-ui'
import { type ReactNode, useState } from 'react'
import { classes } from './classes'

export interface Choice {
  value: string
  label: string
  /** What stands at the right of its row, in small: a price, a count. */
  aside?: ReactNode
  /** A second line. */
  detail?: ReactNode
}

interface SelectProps {
  id?: string
  label?: string
  value: string
  choices: readonly Choice[]
  onChoose: (value: string) => void
  onOpen?: () => void
  placeholder?: string
  disabled?: boolean
  className?: string
}

/**
 * One of a few. `label` names it where no <Field> does. Its rows are there once a pointer or the
 * focus has come near: a canvas of hundreds has as many of these, nearly all of them shut.
 */
export function Select(props: SelectProps) {
  const { id, label, value, choices, onChoose, onOpen, placeholder, disabled, className } = props
  const [isNear, setNear] = useState(false)
  const near = () => setNear(true)
  return (
    <Radix.Root
      value={value}
      onValueChange={onChoose}
      onOpenChange={(isOpen) => {
        if (!isOpen) return
        near()
        onOpen?.()
      }}
      disabled={disabled}
    >
      <Radix.Trigger
        id={id}
        aria-label={label}
        onPointerEnter={near}
        onFocus={near}
        className={classes(
          'nodrag flex h-8 w-full items-center gap-1 rounded-md border border-edge/60 bg-surface px-2',
          'text-left text-sm transition-colors hover:border-edge disabled:opacity-50',
          'focus-visible:border-accent focus-visible:outline-1 focus-visible:outline-offset-0',
          className,
        )}
      >
        <span className="min-w-0 flex-1 truncate">
          <Radix.Value placeholder={placeholder}>
            {choices.find((choice) => choice.value === value)?.label}
          </Radix.Value>
        </span>
        <ChevronDown aria-hidden className="size-4 shrink-0 text-faint" strokeWidth={1.75} />
      </Radix.Trigger>
      {isNear && (
        <Radix.Portal>
          <Radix.Content
            position="popper"
            sideOffset={4}
            collisionPadding={8}
            className={classes(
              'fade z-50 max-h-80 min-w-(--radix-select-trigger-width) overflow-y-auto rounded-lg',
              'border border-line bg-surface p-1 shadow-high',
            )}
          >
            <Radix.Viewport>
              {choices.map((choice) => (
                <Radix.Item
                  key={choice.value}
                  value={choice.value}
                  className={classes(
                    'relative flex min-h-7 cursor-pointer items-center gap-3 rounded-md py-1 pr-2 pl-7',
                    'text-sm outline-none select-none data-highlighted:bg-raised',
                  )}
                >
                  <Radix.ItemIndicator className="absolute left-2">
                    <Check aria-hidden className="size-4 text-accent" strokeWidth={2} />
                  </Radix.ItemIndicator>
                  <span className="min-w-0 flex-1">
                    <Radix.ItemText>{choice.label}</Radix.ItemText>
                    {choice.detail && (
                      <span className="block text-xs text-faint">{choice.detail}</span>
                    )}
                  </span>
                  {choice.aside && <span className="text-xs text-faint">{choice.aside}</span>}
                </Radix.Item>
              ))}
            </Radix.Viewport>
          </Radix.Content>
        </Radix.Portal>
      )}
    </Radix.Root>
  )
}
