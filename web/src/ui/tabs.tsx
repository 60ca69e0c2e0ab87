import { Tabs as Radix } from 'radix-ui'
import type { ReactNode } from 'react'
import { classes } from './classes'

interface TabsProps {
  label: string
  value: string
  onChoose: (value: string) => void
  tabs: readonly { value: string; label: ReactNode; content: ReactNode }[]
  className?: string
}

export function Tabs({ label, value, onChoose, tabs, className }: TabsProps) {
  return (
    <Radix.Root value={value} onValueChange={onChoose} className={className}>
      <Radix.List aria-label={label} className="flex gap-1 border-b border-line">
        {tabs.map((tab) => (
          <Radix.Trigger
            key={tab.value}
            value={tab.value}
            className={classes(
              '-mb-px h-9 border-b-2 border-transparent px-3 text-sm font-medium text-quiet',
              'transition-colors hover:text-ink data-[state=active]:border-accent',
              'data-[state=active]:text-ink',
            )}
          >
            {tab.label}
          </Radix.Trigger>
        ))}
      </Radix.List>
      {tabs.map((tab) => (
        <Radix.Content key={tab.value} value={tab.value} className="pt-4">
          {tab.content}
        </Radix.Content>
      ))}
    </Radix.Root>
  )
}
