import { expect, test } from 'vitest'
import type { ToldEntry } from '@/api/statement'
import { csvOf } from './csv'

const entry = (told: Partial<ToldEntry>): ToldEntry => ({
  id: 1,
  kind: 'capture',
  amount: 3,
  units: 3,
  hold_id: 'job-1',
  part: 0,
  reference: null,
  note: null,
  created_at: '2026-11-20T18:00:00Z',
  job: null,
  ...told,
})
const heads = ['When', 'Kind', 'Credits', 'Settled', 'Why', 'Job']
const told = { kind: ({ kind }: ToldEntry) => kind, why: ({ note }: ToldEntry) => note ?? '' }

test('a statement is a table: what was spent counts down, what is held counts nothing', () => {
  const entries = [entry({}), entry({ kind: 'hold' }), entry({ kind: 'grant', hold_id: null })]
  expect(csvOf(entries, heads, told)).toBe(
    '\uFEFFWhen,Kind,Credits,Settled,Why,Job\r\n' +
      '2026-11-20T18:00:00Z,capture,3,-3,,job-1\r\n' +
      '2026-11-20T18:00:00Z,hold,3,0,,job-1\r\n' +
      '2026-11-20T18:00:00Z,grant,3,3,,\r\n',
  )
})

test('a prompt breaks no line, and is no formula', () => {
  const prompts = ['say "hi",\nthen go', '=cmd()', '@sum', '-1']
  const table = csvOf(
    prompts.map((note) => entry({ note })),
    heads,
    told,
  )
  expect(table).toContain(',"say ""hi"",\nthen go",')
  for (const formula of ["'=cmd()", "'@sum", "'-1"]) expect(table).toContain(`,${formula},`)
})
