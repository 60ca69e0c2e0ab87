import { LayoutTemplate, TextCursorInput } from 'lucide-react'
import { connect, type Graph } from '@/graph'
import { Button } from '@/ui/button'
import { useWords } from '@/words'
import { useEditor, useEditorStore } from './store'
import type { Commands } from './use-commands'

interface StartProps {
  commands: Commands
  onTemplates: () => void
}

/** What an empty canvas says. */
export function Start({ commands, onTemplates }: StartProps) {
  const { editor } = useWords()
  const store = useEditorStore()
  const isEmpty = useEditor((state) => state.history.present.nodes.length === 0)
  if (!isEmpty) return null

  function begin() {
    const settings = commands.add('settings')
    const prompt = commands.add('prompt')
    store.getState().change((graph) => {
      const joined = connect(graph, prompt.id, settings.id)
      return typeof joined === 'string' ? graph : (joined as Graph)
    }, 'start')
    requestAnimationFrame(() =>
      document.querySelector<HTMLElement>(`[data-id="${prompt.id}"] textarea`)?.focus(),
    )
  }

  return (
    <div className="pointer-events-none absolute inset-0 flex items-center justify-center">
      <div className="pointer-events-auto flex flex-col items-center gap-1 text-center">
        <p className="text-xl font-semibold tracking-tight">{editor.emptyTitle}</p>
        <p className="max-w-80 text-sm text-quiet">{editor.emptyAbout}</p>
        <div className="mt-4 flex gap-2">
          <Button look="primary" icon={TextCursorInput} onClick={begin}>
            {editor.emptyStart}
          </Button>
          <Button icon={LayoutTemplate} onClick={onTemplates}>
            {editor.templates}
          </Button>
        </div>
      </div>
    </div>
  )
}
