/**
 * What is the app called in the reader's language?
 *
 * `useWords()` is the catalogue, `useFormat()` its numbers and times. The language is the browser's
 * until one is chosen, which is remembered. A catalogue is loaded when it is first spoken.
 */
import { create } from 'zustand'
import type { Words } from './en'
import { first } from './en/first'
import { type Format, formatOf } from './format'

export type { Format, Words }

export const LOCALES = { en: 'English', 'pt-BR': 'Português (Brasil)' } as const
export type Locale = keyof typeof LOCALES

const REMEMBERED = 'tintype.locale'

interface Speech {
  locale: Locale
  words: Words
  format: Format
}

// Not all of them yet: `learn` adds the rest before a screen that says it is shown.
const ENGLISH = first as Words

const useSpeech = create<Speech>(() => ({ locale: 'en', words: ENGLISH, format: formatOf('en') }))

export const useWords = (): Words => useSpeech((speech) => speech.words)
export const useFormat = (): Format => useSpeech((speech) => speech.format)
export const useLocale = (): Locale => useSpeech((speech) => speech.locale)

/** The words of this moment, for what happens outside of a component. */
export const wordsNow = (): Words => useSpeech.getState().words

/** Speaks the chosen language from now on; at the start without one, the browser's. */
export async function speak(chosen?: Locale): Promise<void> {
  const locale = chosen ?? remembered() ?? (wanted().startsWith('pt') ? 'pt-BR' : 'en')
  const words = await catalogueOf(locale, chosen !== undefined)
  if (chosen) localStorage.setItem(REMEMBERED, chosen)
  document.documentElement.lang = locale
  useSpeech.setState({ locale, words, format: formatOf(locale) })
}

/** Completes the catalogue of the language that is spoken. */
export async function learn(): Promise<void> {
  const { locale } = useSpeech.getState()
  useSpeech.setState({ words: await catalogueOf(locale, true) })
}

let whole: Words | null = null

async function catalogueOf(locale: Locale, isWhole: boolean): Promise<Words> {
  if (locale === 'pt-BR') return (await import('./pt-BR')).ptBR
  if (isWhole && !whole) whole = { ...first, ...(await import('./en/rest')).rest }
  return whole ?? ENGLISH
}

function remembered(): Locale | null {
  const kept = localStorage.getItem(REMEMBERED)
  return kept !== null && kept in LOCALES ? (kept as Locale) : null
}

const SPOKEN = ['en', 'pt']

/** The first of the browser's languages that is spoken here. */
function wanted(): string {
  const known = navigator.languages.find((name) => SPOKEN.includes(name.slice(0, 2)))
  return known ?? 'en'
}
