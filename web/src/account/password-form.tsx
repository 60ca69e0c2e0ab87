import { useState } from 'react'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { toast } from '@/ui/toast'
import { useWords } from '@/words'
import { useOwnChange } from './use-own-change'

const PASSWORD_CHARACTERS_MIN = 6

/** A new password; for a guest with the e-mail that makes a lasting account. */
export function PasswordForm({ isGuest }: { isGuest: boolean }) {
  const { account } = useWords()
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const [again, setAgain] = useState('')
  const { change, wrong, busy } = useOwnChange()
  const isDifferent = again !== '' && again !== password

  async function submit(event: React.FormEvent) {
    event.preventDefault()
    if (isDifferent) return
    await change(isGuest ? { email, password } : { password }, () => {
      toast.success(isGuest ? account.kept : account.changed)
      setPassword('')
      setAgain('')
    })
  }

  return (
    <form onSubmit={(event) => void submit(event)} className="flex max-w-80 flex-col gap-3">
      {isGuest && (
        <Field label={account.email}>
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
      <Field
        label={account.newPassword}
        hint={account.passwordHint(PASSWORD_CHARACTERS_MIN)}
        wrong={wrong}
      >
        {(given) => (
          <Input
            {...given}
            type="password"
            required
            minLength={PASSWORD_CHARACTERS_MIN}
            autoComplete="new-password"
            value={password}
            onChange={(event) => setPassword(event.target.value)}
          />
        )}
      </Field>
      <Field label={account.passwordAgain} wrong={isDifferent ? account.different : null}>
        {(given) => (
          <Input
            {...given}
            type="password"
            required
            autoComplete="new-password"
            value={again}
            onChange={(event) => setAgain(event.target.value)}
          />
        )}
      </Field>
      <Button
        type="submit"
        look="primary"
        busy={busy}
        disabled={!password || again !== password}
        className="self-start"
      >
        {isGuest ? account.keep : account.change}
      </Button>
    </form>
  )
}
