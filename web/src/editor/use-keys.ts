import { useEffect } from 'react'
import { useEditorStore } from './store'
import type { Commands } from './use-commands'
import { useUploads } from './use-uploads'

/** Keys of the canvas; inside a field they are the field's own. */
export function useKeys(commands: Commands, onHelp: () => void): void {
  const store = useEditorStore()
  const upload = useUploads()
  useEffect(() => {
    function onKey(event: KeyboardEvent) {
      const isCommand = event.metaKey || event.ctrlKey
      const key = event.key.toLowerCase()
      if (isCommand && key === 'enter') return act(event, commands.runSelected)
      if (isElsewhere(event.target)) return
      if (isCommand && key === 'z')
        return act(event, event.shiftKey ? store.getState().redo : store.getState().undo)
      if (isCommand && key === 'y') return act(event, store.getState().redo)
      if (isCommand && key === 'd') return act(event, commands.duplicate)
      if (isCommand && key === 'a') return act(event, commands.selectAll)
      if (isCommand) return
      if (key === 'delete' || key === 'backspace') return act(event, commands.remove)
      if (key === '?') act(event, onHelp)
    }

    function onCopy(event: ClipboardEvent) {
      if (isElsewhere(event.target) || document.getSelection()?.toString()) return
      const text = commands.copied()
      if (text === null) return
      event.clipboardData?.setData('text/plain', text)
      event.preventDefault()
      if (event.type === 'cut') commands.remove()
    }

    function onPaste(event: ClipboardEvent) {
      const files = [...(event.clipboardData?.files ?? [])]
      if (files.length > 0) {
        upload(referencesToFill, files)
        event.preventDefault()
      } else if (!isElsewhere(event.target)) {
        if (commands.paste(event.clipboardData?.getData('text/plain') ?? '')) event.preventDefault()
      }
    }

    /** The one selected references node, else a new one. */
    function referencesToFill(): string {
      const chosen = store.getState().flow.filter((node) => node.selected)
      const [only] = chosen
      if (chosen.length === 1 && only?.type === 'references-node') return only.id
      return commands.add('references').id
    }

    window.addEventListener('keydown', onKey)
    document.addEventListener('copy', onCopy)
    document.addEventListener('cut', onCopy)
    document.addEventListener('paste', onPaste)
    return () => {
      window.removeEventListener('keydown', onKey)
      document.removeEventListener('copy', onCopy)
      document.removeEventListener('cut', onCopy)
      document.removeEventListener('paste', onPaste)
    }
  }, [store, commands, upload, onHelp])
}

function act(event: KeyboardEvent, what: () => void): void {
  event.preventDefault()
  what()
}

const ELSEWHERE = 'input, textarea, select, [contenteditable], [role=dialog], [role=menu]'

function isElsewhere(target: EventTarget | null): boolean {
  return target instanceof Element && target.closest(ELSEWHERE) !== null
}
