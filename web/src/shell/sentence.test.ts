import { describe, expect, test } from 'vitest'
import { Refusal } from '@/api/refusal'
import { en } from '@/words/en'
import { formatOf } from '@/words/format'
import { ptBR } from '@/words/pt-BR'
import { sentenceOf } from './sentence'

const told = (refusal: unknown) => sentenceOf(refusal, en.refusals, formatOf('en'))

describe('what a reader is told', () => {
  test('of a network that is gone is no word of the browser', () => {
    const refusal = new Refusal('offline', 'TypeError: Failed to fetch')
    expect(told(refusal)).toBe(en.refusals.offline)
    expect(sentenceOf(refusal, ptBR.refusals, formatOf('pt-BR'))).toBe(ptBR.refusals.offline)
  })

  test('of missing credits says how many', () => {
    const details = { required: 1200, available: 3 }
    const refusal = new Refusal('insufficient_credits', 'no', 402, null, details)
    expect(told(refusal)).toContain('1,200 credits and 3 are')
  })

  test('of a server in trouble says when to try again', () => {
    expect(told(new Refusal('unknown', 'Bad Gateway', 502))).toBe(en.refusals.broken)
    expect(told(new Refusal('busy', 'busy', 503))).toBe(en.refusals.busy)
    expect(told(new Refusal('disk_full', 'full', 503))).toBe(en.refusals.told.disk_full)
  })

  test('of anything else is what the server says, with its hint', () => {
    expect(told(new Refusal('odd', 'No.', 400, 'Do this.'))).toBe('No. Do this.')
    expect(told(new TypeError('x is undefined'))).toBe(en.refusals.unknown)
  })
})
