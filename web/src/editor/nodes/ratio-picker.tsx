import { useState } from 'react'
import { classes } from '@/ui/classes'
import { Popover } from '@/ui/popover'
import { useWords } from '@/words'

interface RatioPickerProps {
  value: string | null
  ratios: readonly string[]
  onChoose: (ratio: string | null) => void
}

/** The shape of the pictures, each choice drawn to scale. */
export function RatioPicker({ value, ratios, onChoose }: RatioPickerProps) {
  const { editor } = useWords()
  const [isOpen, setOpen] = useState(false)
  const name = value ?? editor.auto
  return (
    <Popover
      label={editor.aspectRatio}
      open={isOpen}
      onOpenChange={setOpen}
      trigger={
        <button
          type="button"
          aria-label={`${editor.aspectRatio}: ${name}`}
          className="nodrag flex h-8 w-full items-center gap-2 rounded-md border border-edge/60 bg-surface px-2 text-sm transition-colors hover:border-edge"
        >
          <Shape ratio={value} pixels={16} />
          <span className="flex-1 text-left tabular-nums">{name}</span>
        </button>
      }
    >
      <fieldset className="grid grid-cols-5 gap-1">
        <legend className="sr-only">{editor.aspectRatio}</legend>
        {[null, ...ratios].map((ratio) => (
          <button
            key={ratio ?? 'auto'}
            type="button"
            aria-pressed={ratio === value}
            onClick={() => {
              onChoose(ratio)
              setOpen(false)
            }}
            className={classes(
              'flex h-14 w-14 flex-col items-center justify-end gap-1 rounded-md pb-1 text-2xs tabular-nums',
              'transition-colors hover:bg-raised',
              ratio === value ? 'bg-accent-soft font-semibold text-accent-strong' : 'text-quiet',
            )}
          >
            <span className="flex flex-1 items-center">
              <Shape ratio={ratio} pixels={28} />
            </span>
            {ratio ?? editor.auto}
          </button>
        ))}
      </fieldset>
    </Popover>
  )
}

/** A rectangle of the ratio that fits a square of `pixels`; dashed where the model chooses. */
function Shape({ ratio, pixels }: { ratio: string | null; pixels: number }) {
  const [across = 1, down = 1] = (ratio ?? '1:1').split(':').map(Number)
  const scale = pixels / Math.max(across, down)
  const width = Math.max(3, across * scale)
  const height = Math.max(3, down * scale)
  return (
    <span
      aria-hidden
      className="flex items-center justify-center"
      style={{ width: pixels, height: pixels }}
    >
      <span
        className={classes(
          'rounded-[2px] border-[1.5px] border-current',
          !ratio && 'border-dashed',
        )}
        style={{ width, height }}
      />
    </span>
  )
}

/** The ratio as CSS has it. */
export const cssRatio = (ratio: string | null | undefined) => (ratio ?? '1:1').replace(':', ' / ')
