/**
 * Which rows are gone for good?
 *
 * A reading that was on its way while a row was deleted still holds it when it arrives. No row
 * comes back under its old id, so what was told to be gone is left out of every later reading.
 */
const REMEMBERED_MAX = 5000

const gone = new Map<string, Set<string>>()

/** Remembers that a row of `table` is gone. */
export function bury(table: string, id: string): void {
  const ids = gone.get(table) ?? new Set()
  gone.set(table, ids.add(id))
  for (const oldest of ids) {
    if (ids.size <= REMEMBERED_MAX) break
    ids.delete(oldest)
  }
}

/** Those of `rows` that nobody has told to be gone. */
export function living<R extends { id: string | number }>(table: string, rows: R[]): R[] {
  const ids = gone.get(table)
  return ids ? rows.filter((row) => !ids.has(String(row.id))) : rows
}
