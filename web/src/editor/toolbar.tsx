import {
  CloudAlert,
  CloudCheck,
  Keyboard,
  LayoutTemplate,
  Network,
  Play,
  Plus,
  Redo2,
  RefreshCw,
  Undo2,
  WifiOff,
} from 'lucide-react'
import { KINDS } from '@/graph'
import { Button, IconButton } from '@/ui/button'
import { classes } from '@/ui/classes'
import { Menu, MenuItem } from '@/ui/menu'
import { Tooltip } from '@/ui/tooltip'
import { useWords } from '@/words'
import { KIND_ICONS } from './kind-icons'
import { ProjectMenu } from './project-menu'
import { useEditor } from './store'
import type { Commands } from './use-commands'

interface ToolbarProps {
  name: string
  commands: Commands
  isLive: boolean
  onTemplates: () => void
  onHelp: () => void
}

export function Toolbar({ name, commands, isLive, onTemplates, onHelp }: ToolbarProps) {
  const { editor, shell } = useWords()
  const undo = useEditor((state) => state.undo)
  const redo = useEditor((state) => state.redo)
  const canUndo = useEditor((state) => state.history.past.length > 0)
  const canRedo = useEditor((state) => state.history.future.length > 0)
  return (
    <header className="flex h-12 shrink-0 items-center gap-1 overflow-x-auto border-b border-line bg-surface px-3">
      <ProjectMenu name={name} />
      <SaveState />
      {!isLive && (
        <Tooltip says={shell.reconnecting}>
          <span role="status" aria-label={shell.reconnecting} className="late px-1 text-warn">
            <WifiOff aria-hidden className="size-4" strokeWidth={1.75} />
          </span>
        </Tooltip>
      )}
      <div className="flex-1" />
      <IconButton icon={Undo2} label={editor.undo} disabled={!canUndo} onClick={undo} />
      <IconButton icon={Redo2} label={editor.redo} disabled={!canRedo} onClick={redo} />
      <IconButton icon={Network} label={editor.arrange} onClick={commands.tidy} />
      <IconButton icon={Keyboard} label={editor.keys} onClick={onHelp} />
      <span className="mx-1 h-5 w-px shrink-0 bg-line" />
      <Button icon={LayoutTemplate} look="quiet" onClick={onTemplates}>
        {editor.templates}
      </Button>
      <Menu
        align="end"
        trigger={
          <Button icon={Plus} look="plain">
            {editor.add}
          </Button>
        }
      >
        {KINDS.map((kind) => (
          <MenuItem key={kind} icon={KIND_ICONS[kind]} onSelect={() => void commands.add(kind)}>
            {editor.kinds[kind]}
            <span className="block text-xs text-faint">{editor.kindsAbout[kind]}</span>
          </MenuItem>
        ))}
      </Menu>
      <Tooltip says={`${editor.runKeys} · Ctrl ↵`}>
        <Button icon={Play} look="primary" onClick={commands.runSelected}>
          {editor.run}
        </Button>
      </Tooltip>
    </header>
  )
}

function SaveState() {
  const { editor } = useWords()
  const saving = useEditor((state) => state.saving)
  const [Icon, says] = {
    saved: [CloudCheck, editor.saved] as const,
    dirty: [RefreshCw, editor.unsaved] as const,
    saving: [RefreshCw, editor.saving] as const,
    failed: [CloudAlert, editor.saveFailed] as const,
  }[saving]
  return (
    <Tooltip says={says}>
      <span
        role="status"
        aria-label={says}
        data-saving={saving}
        className={classes(
          'flex items-center gap-1.5 px-1 text-xs whitespace-nowrap',
          saving === 'failed' ? 'text-warn' : 'text-faint',
        )}
      >
        <Icon aria-hidden className="size-4 shrink-0" strokeWidth={1.75} />
        <span className="max-lg:hidden">{says}</span>
      </span>
    </Tooltip>
  )
}
