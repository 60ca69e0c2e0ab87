import { useNavigate } from '@tanstack/react-router'
import { Ban, Pencil, Trash2, Workflow } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { renameIdentity } from '@/api/identities'
import { cancelJob } from '@/api/jobs'
import { projectToOpen } from '@/api/projects'
import { refusalOf } from '@/api/refusal'
import { deleteIdentity } from '@/api/removals'
import type { Identity } from '@/api/rows'
import { useSentence } from '@/shell/sentence'
import { Button } from '@/ui/button'
import { Confirm, Dialog } from '@/ui/dialog'
import { Field, Input } from '@/ui/field'
import { toast } from '@/ui/toast'
import { useWords } from '@/words'

const NAME_CHARACTERS_MAX = 100
const FORM = 'rename-identity'

interface ActsProps {
  identity: Identity
  onGone: () => void
}

/** What can be done with an identity as it is. */
export function IdentityActs({ identity, onGone }: ActsProps) {
  const { identities, editor, shell } = useWords()
  const navigate = useNavigate()
  const sentence = useSentence()
  const [asks, setAsks] = useState<'rename' | 'cancel' | 'remove' | null>(null)
  const [isBusy, setBusy] = useState(false)
  const { id, identity_name: name, status, job_id: jobId } = identity

  async function perform(act: () => Promise<unknown>) {
    setBusy(true)
    try {
      await act()
      setAsks(null)
    } catch (error) {
      toast.error(sentence(await refusalOf(error)))
    } finally {
      setBusy(false)
    }
  }

  const use = async () => {
    const projectId = await projectToOpen(editor.firstProject)
    await navigate({ to: '/p/$projectId', params: { projectId }, search: { identity: id } })
  }
  const cancel = async () => {
    if (jobId) await cancelJob(jobId)
    toast.success(identities.cancel.done)
  }
  const remove = async () => {
    await deleteIdentity(id, name)
    onGone()
  }

  return (
    <>
      {status === 'ready' && (
        <Button look="primary" icon={Workflow} onClick={() => void perform(use)}>
          {identities.use}
        </Button>
      )}
      <Button icon={Pencil} onClick={() => setAsks('rename')}>
        {identities.rename}
      </Button>
      {status === 'training' && (
        <Button icon={Ban} onClick={() => setAsks('cancel')}>
          {identities.cancel.act}
        </Button>
      )}
      <Button look="danger" icon={Trash2} onClick={() => setAsks('remove')}>
        {identities.remove.act}
      </Button>
      {asks === 'rename' && (
        <Rename
          name={name}
          busy={isBusy}
          onClose={() => setAsks(null)}
          onRename={(next) => void perform(() => renameIdentity(id, next))}
        />
      )}
      <Confirm
        open={asks === 'cancel'}
        onClose={() => setAsks(null)}
        title={identities.cancel.title}
        about={identities.cancel.about}
        confirmLabel={identities.cancel.act}
        cancelLabel={identities.cancel.back}
        busy={isBusy}
        onConfirm={() => void perform(cancel)}
      />
      <Confirm
        open={asks === 'remove'}
        onClose={() => setAsks(null)}
        title={identities.remove.title(name)}
        about={identities.remove.about}
        confirmLabel={identities.remove.act}
        cancelLabel={shell.cancel}
        busy={isBusy}
        onConfirm={() => void perform(remove)}
      />
    </>
  )
}

interface RenameProps {
  name: string
  busy: boolean
  onClose: () => void
  onRename: (name: string) => void
}

function Rename({ name, busy, onClose, onRename }: RenameProps) {
  const { identities, shell } = useWords()
  const [next, setNext] = useState(name)
  const submit = (event: FormEvent) => {
    event.preventDefault()
    if (next.trim()) onRename(next.trim())
  }
  return (
    <Dialog
      open
      onClose={onClose}
      title={identities.renameTitle}
      closeLabel={shell.close}
      actions={
        <>
          <Button onClick={onClose}>{shell.cancel}</Button>
          <Button look="primary" type="submit" form={FORM} busy={busy} disabled={!next.trim()}>
            {shell.save}
          </Button>
        </>
      }
    >
      <form id={FORM} onSubmit={submit}>
        <Field label={identities.name}>
          {(given) => (
            <Input
              {...given}
              value={next}
              maxLength={NAME_CHARACTERS_MAX}
              onChange={(event) => setNext(event.target.value)}
            />
          )}
        </Field>
      </form>
    </Dialog>
  )
}
