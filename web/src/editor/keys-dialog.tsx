import { Dialog } from '@/ui/dialog'
import { useWords } from '@/words'

const COMMAND = /Mac|iPhone|iPad/.test(navigator.platform) ? '⌘' : 'Ctrl'

/** Every key of the canvas. */
export default function KeysDialog({ onClose }: { onClose: () => void }) {
  const { editor, shell } = useWords()
  const keys: [string, string[]][] = [
    [editor.runKeys, [COMMAND, '↵']],
    [editor.undo, [COMMAND, 'Z']],
    [editor.redo, [COMMAND, '⇧', 'Z']],
    [editor.copy, [COMMAND, 'C']],
    [editor.paste, [COMMAND, 'V']],
    [editor.duplicate, [COMMAND, 'D']],
    [editor.selectAll, [COMMAND, 'A']],
    [editor.removeNodes, ['⌫']],
    [editor.nudge, ['←', '↑', '→', '↓']],
    [editor.keysTitle, ['?']],
  ]
  return (
    <Dialog open onClose={onClose} title={editor.keysTitle} closeLabel={shell.close}>
      <dl className="grid grid-cols-[1fr_auto] gap-x-6 gap-y-2 text-sm">
        {keys.map(([name, parts]) => (
          <div key={name} className="contents">
            <dt>{name}</dt>
            <dd className="flex justify-end gap-1">
              {parts.map((part) => (
                <kbd
                  key={part}
                  className="flex h-6 min-w-6 items-center justify-center rounded border border-line bg-raised px-1.5 font-sans text-xs"
                >
                  {part}
                </kbd>
              ))}
            </dd>
          </div>
        ))}
      </dl>
    </Dialog>
  )
}
