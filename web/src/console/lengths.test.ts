import { describe, expect, test } from 'vitest'
import { lengthsOf } from './lengths'

describe('a length of time', () => {
  const { length } = lengthsOf('en')
  test('is told in the unit that fits', () => {
    expect([0, 0.24, 1, 12.34, 59.94].map(length)).toEqual([
      '0 ms',
      '240 ms',
      '1 sec',
      '12.3 sec',
      '59.9 sec',
    ])
    expect([60, 192, 3599.7, 7500, 86_400, 90_000].map(length)).toEqual([
      '1 min',
      '3 min 12 sec',
      '1 hr',
      '2 hr 5 min',
      '1 day',
      '1 day 1 hr',
    ])
  })
  test('that nobody knows is a dash', () => expect(length(null)).toBe('–'))
  test('is written as the reader writes', () =>
    expect(lengthsOf('pt-BR').length(12.3)).toBe('12,3 s'))
})
