import { ToggleGroup as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { classes } from './classes'

interface SegmentsProps {
  label: string
  value: string
  choices: readonly { value: string; label: ReactNode; name?: string }[]
  onChoose: (value: string) => void
  className?: string
}

/** One of very few, all of them in sight. */
export function Segments({ label, value, choices, onChoose, className }: SegmentsProps) {
  return (
    <Radix.Root
      type="single"
      aria-label={label}
      value={value}
      // An empty value is the chosen one pressed again, which stays chosen.
      onValueChange={(next) => next && onChoose(next)}
      className={classes('nodrag inline-flex rounded-md bg-raised p-0.5', className)}
    >
      {choices.map((choice) => (
        <Radix.Item
          key={choice.value}
          value={choice.value}
          aria-label={choice.name}
          className={classes(
            'flex h-7 flex-1 items-center justify-center gap-1 rounded-[5px] px-2 text-xs font-medium',
            'text-quiet transition-colors hover:text-ink data-[state=on]:bg-surface',
            'data-[state=on]:text-ink data-[state=on]:shadow-card dark:data-[state=on]:bg-pressed',
          )}
        >
          {choice.label}
        </Radix.Item>
      ))}
    </Radix.Root>
  )
}
