import { type FormEvent, useState } from 'react'
import { nameOf, type useUser } from '@/api/session'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { toast } from '@/ui/toast'
import { useWords } from '@/words'
import { useOwnChange } from './use-own-change'

const NAME_CHARACTERS_MAX = 100

interface PersonFormProps {
  user: NonNullable<ReturnType<typeof useUser>>
}

/** What the user is called, and the email that signs in. A guest has none yet. */
export function PersonForm({ user }: PersonFormProps) {
  const { account, shell } = useWords()
  const known = { name: nameOf(user), email: user.email ?? '' }
  const [name, setName] = useState(known.name)
  const [email, setEmail] = useState(known.email)
  const { change, wrong, busy } = useOwnChange()
  const isNewName = name.trim() !== known.name
  const isNewEmail = email.trim().toLowerCase() !== known.email

  async function submit(event: FormEvent) {
    event.preventDefault()
    const changes = {
      ...(isNewName && { data: { full_name: name.trim() } }),
      ...(isNewEmail && { email: email.trim() }),
    }
    await change(changes, () =>
      toast.success(isNewEmail ? account.emailChanged(email.trim()) : account.nameChanged),
    )
  }

  return (
    <form onSubmit={(event) => void submit(event)} className="flex max-w-80 flex-col gap-3">
      <Field label={account.name}>
        {(given) => (
          <Input
            {...given}
            autoComplete="name"
            maxLength={NAME_CHARACTERS_MAX}
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
        )}
      </Field>
      {known.email && (
        <Field label={account.email} hint={account.emailHint} wrong={wrong}>
          {(given) => (
            <Input
              {...given}
              type="email"
              required
              autoComplete="email"
              value={email}
              onChange={(event) => setEmail(event.target.value)}
            />
          )}
        </Field>
      )}
      {!known.email && wrong && (
        <p role="alert" className="text-xs text-bad">
          {wrong}
        </p>
      )}
      <Button type="submit" busy={busy} disabled={!isNewName && !isNewEmail} className="self-start">
        {shell.save}
      </Button>
    </form>
  )
}
