import { LogOut, MonitorSmartphone } from 'lucide-react'
import { useState } from 'react'
import { refusalOf } from '@/api/refusal'
import { signOut, signOutEverywhere, useUser } from '@/api/session'
import { useSentence } from '@/shell/sentence'
import { chooseTheme, type ThemeChoice, useThemeChoice } from '@/shell/theme'
import { Button } from '@/ui/button'
import { Card } from '@/ui/card'
import { Confirm } from '@/ui/dialog'
import { Page } from '@/ui/page'
import { Segments } from '@/ui/segments'
import { toast } from '@/ui/toast'
import { LOCALES, type Locale, speak, useFormat, useLocale, useWords } from '@/words'
import { PasswordForm } from './password-form'
import { PersonForm } from './person-form'

/** Who is signed in, how the app looks and speaks, and the way out. */
export function AccountScreen() {
  const { account } = useWords()
  const format = useFormat()
  const user = useUser()
  if (!user) return null
  return (
    <Page title={account.title}>
      <div className="gap-4 lg:columns-2 [&>section]:mb-4 [&>section]:break-inside-avoid">
        <Card title={account.person}>
          <dl className="mb-4 grid grid-cols-[auto_minmax(0,1fr)] gap-x-6 gap-y-2 text-sm">
            <dt className="text-quiet">{account.signedInAs}</dt>
            <dd className="min-w-0 font-medium break-words">{user.email || account.guest}</dd>
            <dt className="text-quiet">{account.since}</dt>
            <dd>{format.day(user.created_at)}</dd>
          </dl>
          <PersonForm key={user.email} user={user} />
        </Card>
        <Looks />
        <Card title={user.email ? account.password : account.keep}>
          {!user.email && <p className="-mt-2 mb-3 text-sm text-quiet">{account.keepAbout}</p>}
          <PasswordForm isGuest={!user.email} />
        </Card>
        <Sessions />
        <Card title={account.leaving}>
          <p className="-mt-2 text-sm text-quiet">{account.leavingAbout}</p>
        </Card>
      </div>
    </Page>
  )
}

function Looks() {
  const { account, shell } = useWords()
  const theme = useThemeChoice()
  const locale = useLocale()
  return (
    <Card title={account.looks}>
      <div className="flex flex-col gap-4">
        <div className="flex flex-col items-start gap-1.5">
          <p className="text-xs font-medium text-quiet">{shell.theme}</p>
          <Segments
            label={shell.theme}
            value={theme}
            className="whitespace-nowrap"
            choices={(['system', 'light', 'dark'] as const).map((value) => ({
              value,
              label: shell[value],
            }))}
            onChoose={(value) => chooseTheme(value as ThemeChoice)}
          />
        </div>
        <div className="flex flex-col items-start gap-1.5">
          <p className="text-xs font-medium text-quiet">{shell.language}</p>
          <Segments
            label={shell.language}
            value={locale}
            className="whitespace-nowrap"
            choices={Object.entries(LOCALES).map(([value, label]) => ({ value, label }))}
            onChoose={(value) => void speak(value as Locale)}
          />
        </div>
      </div>
    </Card>
  )
}

function Sessions() {
  const { account, shell } = useWords()
  const [isAsking, setAsking] = useState(false)
  const sentence = useSentence()
  const [busy, setBusy] = useState(false)

  async function everywhere() {
    setBusy(true)
    try {
      await signOutEverywhere('global')
    } catch (error) {
      toast.error(sentence(await refusalOf(error)))
      setBusy(false)
    }
  }

  return (
    <Card title={account.sessions}>
      <p className="-mt-2 mb-4 text-sm text-quiet">{account.sessionsAbout}</p>
      <div className="flex flex-wrap gap-2">
        <Button icon={LogOut} onClick={() => void signOut()}>
          {account.signOutHere}
        </Button>
        <Button icon={MonitorSmartphone} look="danger" onClick={() => setAsking(true)}>
          {account.signOutEverywhere}
        </Button>
      </div>
      <Confirm
        open={isAsking}
        onClose={() => setAsking(false)}
        title={account.everywhereTitle}
        about={account.everywhereAbout}
        confirmLabel={account.signOutEverywhere}
        cancelLabel={shell.cancel}
        busy={busy}
        onConfirm={() => void everywhere()}
      />
    </Card>
  )
}
