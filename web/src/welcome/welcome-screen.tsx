import { useNavigate, useSearch } from '@tanstack/react-router'
import { Languages } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { refusalOf } from '@/api/refusal'
import { hasLapsed, signIn, signInAsGuest, signUp } from '@/api/session'
import { Mark } from '@/shell/mark'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { Menu, MenuItem } from '@/ui/menu'
import { useTitle } from '@/ui/title'
import { LOCALES, type Locale, speak, useLocale, useWords } from '@/words'
import { Plates } from './plates'

const PASSWORD_CHARACTERS_MIN = 6

/** The door: an account, a new account, or none. */
export function WelcomeScreen() {
  const { shell, welcome } = useWords()
  const locale = useLocale()
  return (
    <main className="grid h-full overflow-y-auto lg:grid-cols-[minmax(420px,5fr)_7fr]">
      <div className="flex min-h-full flex-col bg-surface px-6 py-6 sm:px-12">
        <div className="flex items-center gap-2 text-lg font-semibold tracking-tight">
          <Mark className="size-6 text-accent" />
          <span className="flex-1">{shell.product}</span>
          <Menu
            align="end"
            trigger={
              <Button look="quiet" icon={Languages} size="small">
                {LOCALES[locale]}
              </Button>
            }
          >
            {(Object.keys(LOCALES) as Locale[]).map((name) => (
              <MenuItem key={name} chosen={locale === name} onSelect={() => void speak(name)}>
                {LOCALES[name]}
              </MenuItem>
            ))}
          </Menu>
        </div>
        <div className="mx-auto flex w-full max-w-sm flex-1 flex-col justify-center py-10">
          <Door />
        </div>
      </div>
      <aside className="relative hidden overflow-hidden bg-canvas lg:block">
        <Plates />
        <div className="absolute inset-x-0 bottom-0 p-12">
          <p className="text-2xl font-semibold tracking-tight text-balance">{welcome.headline}</p>
          <p className="mt-2 max-w-md text-base text-quiet">{welcome.about}</p>
        </div>
      </aside>
    </main>
  )
}

function Door() {
  const { welcome } = useWords()
  const navigate = useNavigate()
  const { to } = useSearch({ from: '/sign-in' })
  const [isNew, setNew] = useState(false)
  const [lapsed] = useState(hasLapsed)
  useTitle(isNew ? welcome.signUp : welcome.signIn)
  const [email, setEmail] = useState('')
  const [password, setPassword] = useState('')
  const [wrong, setWrong] = useState<string | null>(null)
  const [busy, setBusy] = useState<'door' | 'guest' | null>(null)

  async function enter(how: () => Promise<unknown>, which: 'door' | 'guest') {
    setBusy(which)
    setWrong(null)
    try {
      await how()
      await navigate({ to: to ?? '/', replace: true })
    } catch (error) {
      const { code, status, message } = await refusalOf(error)
      const told = welcome.refusals[code] ?? (status >= 500 ? welcome.refusals.failed : message)
      setWrong(told ?? message)
      setBusy(null)
    }
  }

  function submit(event: FormEvent) {
    event.preventDefault()
    void enter(() => (isNew ? signUp : signIn)(email, password), 'door')
  }

  return (
    <>
      <h1 className="text-2xl font-semibold tracking-tight">
        {isNew ? welcome.signUpTitle : welcome.signInTitle}
      </h1>
      {lapsed && <p className="mt-1 text-sm">{welcome.lapsed}</p>}
      <p className="mt-1 text-sm text-quiet">
        {isNew ? welcome.knownHere : welcome.newHere}{' '}
        <button
          type="button"
          className="font-medium text-accent underline-offset-4 hover:underline"
          onClick={() => {
            setNew(!isNew)
            setWrong(null)
          }}
        >
          {isNew ? welcome.signIn : welcome.signUp}
        </button>
      </p>
      <form onSubmit={submit} className="mt-6 flex flex-col gap-4">
        <Field label={welcome.email}>
          {(given) => (
            <Input
              {...given}
              className="h-10!"
              type="email"
              autoComplete="email"
              required
              value={email}
              onChange={(event) => setEmail(event.target.value)}
            />
          )}
        </Field>
        <Field
          label={welcome.password}
          hint={isNew ? welcome.passwordHint(PASSWORD_CHARACTERS_MIN) : undefined}
        >
          {(given) => (
            <Input
              {...given}
              className="h-10!"
              type="password"
              autoComplete={isNew ? 'new-password' : 'current-password'}
              minLength={isNew ? PASSWORD_CHARACTERS_MIN : undefined}
              required
              value={password}
              onChange={(event) => setPassword(event.target.value)}
            />
          )}
        </Field>
        <div role="alert">{wrong && <p className="text-sm text-bad">{wrong}</p>}</div>
        <Button type="submit" look="primary" className="h-10!" busy={busy === 'door'}>
          {isNew ? welcome.signUp : welcome.signIn}
        </Button>
      </form>
      <div className="my-5 flex items-center gap-3 text-xs text-faint">
        <span className="h-px flex-1 bg-line" />
        {welcome.or}
        <span className="h-px flex-1 bg-line" />
      </div>
      <Button
        className="h-10!"
        busy={busy === 'guest'}
        onClick={() => void enter(signInAsGuest, 'guest')}
      >
        {welcome.guest}
      </Button>
      <p className="mt-2 text-xs text-faint">{welcome.guestHint}</p>
    </>
  )
}
