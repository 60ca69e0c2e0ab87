import { describe, expect, test } from 'vitest'
import { forget, goneFrom, merge, nothing, OVERLAP, since } from './merge'

interface Job {
  id: string
  seq: number
  status: string
}

const row = (id: string, seq: number, status = 'queued'): Job => ({ id, seq, status })
const shown = (known: ReturnType<typeof nothing<Job>>) =>
  [...known.rows.values()].map(({ id, status }) => `${id} ${status}`)

describe('merge', () => {
  test('a late version of a row changes nothing', () => {
    const known = merge(nothing<Job>(), [row('a', 5, 'completed')])
    expect(merge(known, [row('a', 3, 'processing')])).toBe(known)
    expect(shown(known)).toEqual(['a completed'])
  })

  test('any order of the same versions ends in the same state', () => {
    const versions = [row('a', 1), row('a', 2, 'processing'), row('b', 3), row('a', 4, 'failed')]
    const forwards = merge(nothing<Job>(), versions)
    const backwards = [...versions]
      .reverse()
      .reduce((known, one) => merge(known, [one]), nothing<Job>())
    expect(backwards.rows.get('a')).toEqual(forwards.rows.get('a'))
    expect(backwards.rows.get('b')).toEqual(forwards.rows.get('b'))
    expect(backwards.seq).toBe(4)
  })

  test('what is known already keeps its identity, so that nothing is drawn again', () => {
    const known = merge(nothing<Job>(), [row('a', 1), row('b', 2)])
    const next = merge(known, [row('b', 3, 'processing')])
    expect(next.rows.get('a')).toBe(known.rows.get('a'))
    expect(known.rows.get('b')?.status).toBe('queued')
  })

  test('an optimistic row gives way to any real one', () => {
    const known = merge(nothing<Job>(), [row('a', 0, 'sending')])
    expect(shown(merge(known, [row('a', 7)]))).toEqual(['a queued'])
  })
})

describe('a repair', () => {
  test('reads from behind the greatest number, and never below zero', () => {
    expect(since(merge(nothing<Job>(), [row('a', 7)]))).toBe(0)
    expect(since(merge(nothing<Job>(), [row('a', 5000)]))).toBe(5000 - OVERLAP)
  })

  test('brings what committed late, under a smaller number than one already seen', () => {
    const known = merge(nothing<Job>(), [row('a', 5000)])
    const late = row('b', 4990)
    expect(late.seq).toBeGreaterThan(since(known))
    expect(shown(merge(known, [late]))).toEqual(['a queued', 'b queued'])
  })
})

describe('forget', () => {
  test('drops what is gone, and is quiet about what was never there', () => {
    const known = merge(nothing<Job>(), [row('a', 1)])
    expect(forget(known, ['x'])).toBe(known)
    expect(shown(forget(known, ['a']))).toEqual([])
  })
})

describe('what is gone', () => {
  const dated = (id: string, day: number, seq = day) => ({
    id,
    seq,
    created_at: `2026-01-${String(day).padStart(2, '0')}T00:00:00+00:00`,
  })
  const known = [dated('a', 1), dated('b', 2), dated('c', 3), dated('d', 4, 0)]
  const ids = (rows: { id: string }[]) => rows.map(({ id }) => id)

  test('is what was known and is not there, but nothing that is only expected', () => {
    expect(ids(goneFrom(known, [dated('c', 3), dated('a', 1)], 10))).toEqual(['b'])
    expect(ids(goneFrom(known, [], 10))).toEqual(['a', 'b', 'c'])
  })

  test('is never what lies further back than was read', () => {
    expect(ids(goneFrom(known, [dated('c', 3), dated('b', 2)], 2))).toEqual([])
    expect(ids(goneFrom(known, [dated('d', 4), dated('b', 2)], 2))).toEqual(['c'])
  })
})
