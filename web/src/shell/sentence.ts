/** What is a reader told of a refusal? What to do now, in the reader's language where we can. */
import { useCallback } from 'react'
import { Refusal } from '@/api/refusal'
import { type Format, useFormat, useWords, type Words } from '@/words'

// How PostgREST calls a token that has ended.
const EXPIRED = ['PGRST301', 'PGRST303']

/** The sentence of an error; for screens that are loaded after the words were learned. */
export function useSentence(): (error: unknown) => string {
  const { refusals } = useWords()
  const format = useFormat()
  return useCallback((error: unknown) => sentenceOf(error, refusals, format), [refusals, format])
}

export function sentenceOf(error: unknown, words: Words['refusals'], format: Format): string {
  if (!(error instanceof Refusal)) return words.unknown
  const { code, status, message, hint, details } = error
  const { required, available } = details
  if (code === 'insufficient_credits' && required !== undefined)
    return words.credits(format.number(Number(required)), format.number(Number(available ?? 0)))
  if (words.told[code]) return words.told[code]
  if (code === 'offline') return words.offline
  if (status === 401 || EXPIRED.includes(code)) return words.expired
  if (status === 429 || status === 503) return words.busy
  if (status >= 500 || message.startsWith('<')) return words.broken
  return [message, hint].filter(Boolean).join(' ') || words.unknown
}
