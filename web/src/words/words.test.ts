import { describe, expect, test } from 'vitest'
import { en } from './en'
import { formatOf } from './format'
import { ptBR } from './pt-BR'

/** Every leaf by its path; a sentence with a number in it is told for one and for three. */
function leaves(words: object, path = ''): Map<string, string> {
  const found = new Map<string, string>()
  for (const [name, value] of Object.entries(words)) {
    if (typeof value === 'string') found.set(path + name, value)
    else if (typeof value === 'function') {
      found.set(`${path + name}(1)`, value(1, 1))
      found.set(`${path + name}(3)`, value(3, 3))
    } else for (const [key, told] of leaves(value, `${path + name}.`)) found.set(key, told)
  }
  return found
}

// The same word in both languages.
const SHARED =
  /product$|\.editor$|\.console$|console\.title$|kinds\.prompt$|prompt$|\.auto$|en_US|pictureMissing/

describe('the catalogues', () => {
  const english = leaves(en)
  const portuguese = leaves(ptBR)

  test('have the same keys, and no empty word', () => {
    expect([...portuguese.keys()].sort()).toEqual([...english.keys()].sort())
    for (const [key, word] of [...english, ...portuguese]) expect(word.trim(), key).not.toBe('')
  })

  test('leave nothing untranslated', () => {
    const same = [...english].filter(([key, word]) => portuguese.get(key) === word)
    expect(same.map(([key]) => key).filter((key) => !SHARED.test(key))).toEqual([])
  })

  test('keep every number that a sentence is given', () => {
    for (const [key, word] of english) {
      if (!/3/.test(word) || !key.endsWith('(3)')) continue
      expect(portuguese.get(key), key).toMatch(/3/)
    }
  })
})

describe('times', () => {
  const now = Date.parse('2026-03-01T12:00:00Z')
  test('are told from now', () => {
    expect(formatOf('en').since('2026-03-01T11:57:00Z', now)).toBe('3 minutes ago')
    expect(formatOf('pt-BR').since('2026-02-28T12:00:00Z', now)).toBe('ontem')
    expect(formatOf('en').since('2026-03-01T11:59:50Z', now)).toBe('now')
  })
  test('without a time of day are the same day everywhere', () => {
    expect(formatOf('en').day('2026-10-02')).toBe('Oct 2, 2026')
  })
})
