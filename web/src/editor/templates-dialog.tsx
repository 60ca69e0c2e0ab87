import { LayoutTemplate, Trash2 } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { refusalOf } from '@/api/refusal'
import { theUserId } from '@/api/session'
import { useRemoveTemplate, useSaveTemplate, useTemplates } from '@/api/templates'
import { type Graph, pieceOf, read, STARTERS, starter, write } from '@/graph'
import { Button, IconButton } from '@/ui/button'
import { Dialog } from '@/ui/dialog'
import { Field, Input } from '@/ui/field'
import { toast } from '@/ui/toast'
import { useWords } from '@/words'
import { KIND_ICONS } from './kind-icons'
import { selectedIds, useEditorStore } from './store'
import type { Commands } from './use-commands'

interface TemplatesProps {
  onClose: () => void
  commands: Commands
}

/** Pieces of canvas to begin with: those that come with the app, and one's own. */
export default function TemplatesDialog({ onClose, commands }: TemplatesProps) {
  const { editor, shell } = useWords()
  const templates = useTemplates().data ?? []
  const remove = useRemoveTemplate()

  function use(piece: Graph) {
    commands.put(piece)
    onClose()
  }

  async function drop(id: string) {
    try {
      await remove.mutateAsync(id)
      toast(editor.templateRemoved)
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    }
  }

  return (
    <Dialog
      wide
      open
      onClose={onClose}
      title={editor.templates}
      about={editor.templatesAbout}
      closeLabel={shell.close}
    >
      <h3 className="mb-2 text-xs font-semibold text-faint">{editor.starters}</h3>
      <ul className="grid gap-2 sm:grid-cols-2">
        {STARTERS.map((name) => {
          const piece = starter(name, editor.starterPrompts)
          return (
            <li key={name}>
              <Offer name={editor.starterNames[name]} piece={piece} onUse={() => use(piece)} />
            </li>
          )
        })}
      </ul>
      <h3 className="mt-6 mb-2 text-xs font-semibold text-faint">{editor.yours}</h3>
      {templates.length === 0 && <p className="text-sm text-quiet">{editor.templatesNone}</p>}
      <ul className="grid gap-2 sm:grid-cols-2">
        {templates.map((template) => {
          const piece = read(template.settings.canvas)
          return (
            <li key={template.id} className="relative">
              <Offer name={template.name} piece={piece} onUse={() => use(piece)} />
              {template.user_id === theUserId() && (
                <span className="absolute top-2 right-2">
                  <IconButton
                    icon={Trash2}
                    size="small"
                    label={shell.remove}
                    onClick={() => void drop(template.id)}
                  />
                </span>
              )}
            </li>
          )
        })}
      </ul>
      <SaveTemplate />
    </Dialog>
  )
}

function Offer({ name, piece, onUse }: { name: string; piece: Graph; onUse: () => void }) {
  const { editor } = useWords()
  const text = piece.nodes.find((node) => node.kind === 'prompt')
  return (
    <button
      type="button"
      onClick={onUse}
      title={editor.templateUse}
      className="flex h-full w-full flex-col gap-1.5 rounded-lg border border-line p-3 text-left transition-colors hover:border-accent hover:bg-raised"
    >
      <span className="pr-6 text-sm font-medium">{name}</span>
      <span className="line-clamp-2 text-xs text-quiet">
        {text?.kind === 'prompt' ? text.text : ''}
      </span>
      <span aria-hidden className="mt-auto flex gap-1.5 pt-1 text-faint">
        {piece.nodes.map((node) => {
          const Icon = KIND_ICONS[node.kind]
          return <Icon key={node.id} className="size-4" strokeWidth={1.5} />
        })}
      </span>
    </button>
  )
}

function SaveTemplate() {
  const { editor, shell } = useWords()
  const store = useEditorStore()
  const save = useSaveTemplate()
  const [name, setName] = useState('')

  async function submit(event: FormEvent) {
    event.preventDefault()
    const state = store.getState()
    const graph = state.history.present
    const chosen = selectedIds(state)
    const ids = chosen.size > 0 ? chosen : new Set(graph.nodes.map(({ id }) => id))
    const piece = pieceOf(graph, ids)
    const text = piece.nodes.find((node) => node.kind === 'prompt')
    try {
      await save.mutateAsync({
        name: name.trim(),
        prompt: text?.kind === 'prompt' ? text.text : '',
        settings: { canvas: write(piece) },
      })
      setName('')
      toast.success(editor.templateSaved)
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    }
  }

  return (
    <form
      onSubmit={(event) => void submit(event)}
      className="mt-6 flex items-end gap-2 border-t border-line pt-4"
    >
      <Field label={editor.saveTemplate} hint={editor.saveTemplateAbout} className="flex-1">
        {(given) => (
          <Input
            {...given}
            required
            maxLength={120}
            value={name}
            placeholder={editor.templateName}
            onChange={(event) => setName(event.target.value)}
          />
        )}
      </Field>
      <Button type="submit" icon={LayoutTemplate} busy={save.isPending} className="mb-5">
        {shell.save}
      </Button>
    </form>
  )
}
