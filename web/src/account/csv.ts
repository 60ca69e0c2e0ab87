/** The statement as a file that every spreadsheet reads: UTF-8, RFC 4180. */
import type { ToldEntry } from '@/api/statement'

// What a spreadsheet would take for a formula, if a prompt began with it.
const FORMULA = /^[=+\-@\t\r]/
const BEGINNING = '\uFEFF'

/** How an entry changes what is settled: added, spent, or only set aside and back. */
export const settledBy = ({ kind, amount }: Pick<ToldEntry, 'kind' | 'amount'>): number =>
  kind === 'grant' ? amount : kind === 'capture' ? -amount : 0

export function csvOf(
  entries: readonly ToldEntry[],
  heads: readonly string[],
  told: { kind: (entry: ToldEntry) => string; why: (entry: ToldEntry) => string },
): string {
  const lines = entries.map((entry) => [
    entry.created_at,
    told.kind(entry),
    entry.amount,
    settledBy(entry),
    told.why(entry),
    entry.hold_id ?? '',
  ])
  return BEGINNING + [heads, ...lines].map((line) => `${line.map(cell).join(',')}\r\n`).join('')
}

function cell(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const harmless = FORMULA.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(harmless) ? `"${harmless.replace(/"/g, '""')}"` : harmless
}
