/** Dark or light: the system's choice until one is made here, which is remembered. */
import { create } from 'zustand'

export type ThemeChoice = 'system' | 'light' | 'dark'
export type Theme = 'light' | 'dark'

const REMEMBERED = 'tintype.theme'
const system = window.matchMedia('(prefers-color-scheme: dark)')

const useStore = create<{ choice: ThemeChoice; theme: Theme }>(() => state(remembered()))

export const useTheme = (): Theme => useStore((store) => store.theme)
export const useThemeChoice = (): ThemeChoice => useStore((store) => store.choice)

export function chooseTheme(choice: ThemeChoice): void {
  if (choice === 'system') localStorage.removeItem(REMEMBERED)
  else localStorage.setItem(REMEMBERED, choice)
  show(choice)
}

/** Shows the theme, and follows the system's as long as none is chosen. */
export function followTheme(): void {
  show(remembered())
  system.addEventListener('change', () => show(useStore.getState().choice))
}

function show(choice: ThemeChoice): void {
  useStore.setState(state(choice))
  document.documentElement.dataset.theme = useStore.getState().theme
}

function state(choice: ThemeChoice): { choice: ThemeChoice; theme: Theme } {
  const theme = choice === 'system' ? (system.matches ? 'dark' : 'light') : choice
  return { choice, theme }
}

function remembered(): ThemeChoice {
  const kept = localStorage.getItem(REMEMBERED)
  return kept === 'dark' || kept === 'light' ? kept : 'system'
}
