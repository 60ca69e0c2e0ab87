import { Download, ImagePlus, Trash2, X } from 'lucide-react'
import { Button, IconButton } from '@/ui/button'
import { useFormat, useWords } from '@/words'
import { useActs } from './use-acts'
import { SELECTED_MAX, type Selection } from './use-selection'

/** What can be done with everything that is chosen. */
export function SelectionBar({
  selection,
  onRemove,
}: {
  selection: Selection
  onRemove: () => void
}) {
  const { gallery, shell } = useWords()
  const format = useFormat()
  const acts = useActs()
  const pictures = [...selection.chosen.values()]
  const [only] = pictures
  const told = gallery.chosen(pictures.length, format.number(pictures.length))
  return (
    <section
      aria-label={told}
      className="appear absolute bottom-4 left-1/2 z-10 flex w-max max-w-[calc(100%-1rem)] -translate-x-1/2 flex-wrap items-center gap-2 rounded-xl border border-line bg-surface py-2 pr-2 pl-4 shadow-high"
    >
      <p role="status" className="pr-2 text-sm font-medium whitespace-nowrap tabular-nums">
        {pictures.length === SELECTED_MAX ? gallery.chosenAtMost(told) : told}
      </p>
      {pictures.length === 1 && only?.media_type === 'image' && (
        <Button icon={ImagePlus} onClick={() => void acts.use(only)}>
          {gallery.use}
        </Button>
      )}
      <Button icon={Download} busy={acts.busy} onClick={() => void acts.save(pictures)}>
        {gallery.download}
      </Button>
      <Button icon={Trash2} look="danger" onClick={onRemove}>
        {shell.remove}
      </Button>
      <IconButton icon={X} side="top" label={gallery.chooseNone} onClick={selection.clear} />
    </section>
  )
}
