import { useNavigate } from '@tanstack/react-router'
import { type FormEvent, useState } from 'react'
import { useRemoveProject, useRenameProject } from '@/api/projects'
import { refusalOf } from '@/api/refusal'
import { Button } from '@/ui/button'
import { Confirm, Dialog } from '@/ui/dialog'
import { Field, Input } from '@/ui/field'
import { toast } from '@/ui/toast'
import { useWords } from '@/words'
import { useEditor } from './store'

const NAME_CHARACTERS_MAX = 120

interface ProjectDialogsProps {
  asks: 'rename' | 'remove'
  name: string
  onClose: () => void
}

/** What is asked before the open project gets another name, or goes. */
export default function ProjectDialogs({ asks, name, onClose }: ProjectDialogsProps) {
  const { editor, shell } = useWords()
  const projectId = useEditor((state) => state.projectId)
  const navigate = useNavigate()
  const remove = useRemoveProject()
  if (asks === 'rename') return <Rename name={name} id={projectId} onClose={onClose} />

  async function removeThis() {
    try {
      await remove.mutateAsync(projectId)
      onClose()
      await navigate({ to: '/' })
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    }
  }

  return (
    <Confirm
      open
      onClose={onClose}
      title={editor.deleteProject}
      about={editor.deleteProjectAbout}
      confirmLabel={shell.remove}
      cancelLabel={shell.cancel}
      busy={remove.isPending}
      onConfirm={() => void removeThis()}
    />
  )
}

function Rename({ name, id, onClose }: { name: string; id: string; onClose: () => void }) {
  const { editor, shell } = useWords()
  const rename = useRenameProject()
  const [next, setNext] = useState(name)

  async function submit(event: FormEvent) {
    event.preventDefault()
    try {
      await rename.mutateAsync({ id, name: next.trim() || editor.untitled })
      onClose()
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    }
  }

  return (
    <Dialog open onClose={onClose} title={editor.renameProject} closeLabel={shell.close}>
      <form onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
        <Field label={editor.projectName}>
          {(given) => (
            <Input
              {...given}
              value={next}
              maxLength={NAME_CHARACTERS_MAX}
              onChange={(event) => setNext(event.target.value)}
            />
          )}
        </Field>
        <Button type="submit" look="primary" busy={rename.isPending} className="self-end">
          {shell.save}
        </Button>
      </form>
    </Dialog>
  )
}
