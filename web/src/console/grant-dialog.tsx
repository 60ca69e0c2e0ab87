import { type FormEvent, useState } from 'react'
import { grant } from '@/api/operator'
import { refusalOf } from '@/api/refusal'
import { Button } from '@/ui/button'
import { Dialog } from '@/ui/dialog'
import { Field, Input } from '@/ui/field'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'

const NOTE_CHARACTERS_MAX = 500
const FORM = 'grant-credits'

interface GrantDialogProps {
  userId: string
  who: string
  onClose: () => void
}

/** Gives credits. Whatever happens on the way, what this dialog grants counts once. */
export function GrantDialog({ userId, who, onClose }: GrantDialogProps) {
  const { console: told, shell } = useWords()
  const words = told.users
  const { number } = useFormat()
  const [reference] = useState(() => `console:${crypto.randomUUID()}`)
  const [amount, setAmount] = useState('')
  const [note, setNote] = useState('')
  const [wrong, setWrong] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)

  async function give(event: FormEvent) {
    event.preventDefault()
    const credits = Number(amount)
    if (!Number.isSafeInteger(credits) || credits < 1) {
      setWrong(words.amountWrong)
      return
    }
    setBusy(true)
    try {
      const account = await grant({
        user: userId,
        amount: credits,
        note: note.trim() || undefined,
        reference,
      })
      toast.success(words.granted(number(account.available)))
      onClose()
    } catch (error) {
      setWrong((await refusalOf(error)).message)
      setBusy(false)
    }
  }

  return (
    <Dialog
      open
      onClose={onClose}
      title={words.grant}
      about={words.grantAbout(who)}
      closeLabel={shell.close}
      actions={
        <>
          <Button onClick={onClose}>{shell.cancel}</Button>
          <Button look="primary" type="submit" form={FORM} busy={isBusy}>
            {words.grant}
          </Button>
        </>
      }
    >
      <form id={FORM} onSubmit={give} noValidate className="flex flex-col gap-3">
        <Field label={words.amount} wrong={wrong}>
          {(given) => (
            <Input
              {...given}
              type="number"
              min={1}
              step={1}
              value={amount}
              onChange={(event) => setAmount(event.target.value)}
            />
          )}
        </Field>
        <Field label={words.note} hint={words.noteHint}>
          {(given) => (
            <Input
              {...given}
              maxLength={NOTE_CHARACTERS_MAX}
              value={note}
              onChange={(event) => setNote(event.target.value)}
            />
          )}
        </Field>
      </form>
    </Dialog>
  )
}
