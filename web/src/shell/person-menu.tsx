import { useNavigate } from '@tanstack/react-router'
import { CircleUserRound, Languages, LogOut, Monitor, Moon, Settings2, Sun } from 'lucide-react'
import { nameOf, signOut, useUser } from '@/api/session'
import { Menu, MenuItem, MenuLabel, MenuLine } from '@/ui/menu'
import { LOCALES, type Locale, speak, useLocale, useWords } from '@/words'
import { chooseTheme, useThemeChoice } from './theme'

const THEMES = { system: Monitor, light: Sun, dark: Moon } as const

/** Who is signed in, the theme, the language, and the way out. */
export function PersonMenu() {
  const { shell } = useWords()
  const user = useUser()
  const theme = useThemeChoice()
  const locale = useLocale()
  const navigate = useNavigate()
  return (
    <Menu
      side="right"
      align="end"
      trigger={
        <button
          type="button"
          aria-label={shell.menu}
          className="flex size-12 items-center justify-center rounded-lg text-quiet transition-colors hover:bg-raised hover:text-ink"
        >
          <CircleUserRound aria-hidden className="size-6" strokeWidth={1.5} />
        </button>
      }
    >
      <MenuLabel>{(user && nameOf(user)) || user?.email || shell.guest}</MenuLabel>
      <MenuItem icon={Settings2} onSelect={() => void navigate({ to: '/account' })}>
        {shell.account}
      </MenuItem>
      <MenuLine />
      <MenuLabel>{shell.theme}</MenuLabel>
      {(['system', 'light', 'dark'] as const).map((choice) => (
        <MenuItem
          key={choice}
          icon={THEMES[choice]}
          chosen={theme === choice}
          onSelect={() => chooseTheme(choice)}
        >
          {shell[choice]}
        </MenuItem>
      ))}
      <MenuLine />
      <MenuLabel>{shell.language}</MenuLabel>
      {(Object.keys(LOCALES) as Locale[]).map((name) => (
        <MenuItem
          key={name}
          icon={Languages}
          chosen={locale === name}
          onSelect={() => void speak(name)}
        >
          {LOCALES[name]}
        </MenuItem>
      ))}
      <MenuLine />
      <MenuItem icon={LogOut} onSelect={() => void signOut()}>
        {shell.signOut}
      </MenuItem>
    </Menu>
  )
}
