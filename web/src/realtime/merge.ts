/**
 * How do rows that arrive twice, late and out of order become one state?
 *
 * Every write of a row takes the next number of one sequence, its `seq`. Of two versions of a row
 * the one with the greater `seq` is the newer, whichever came first; so it does not matter how a
 * row came: from the first reading, from the socket, from a repair, or from all of them.
 */
export interface Row {
  id: string | number
  seq: number
}

export interface Dated extends Row {
  /** ISO 8601, as the server writes it. */
  created_at: string
}

export interface Known<R extends Row> {
  readonly rows: ReadonlyMap<string, R>
  /** The greatest that was seen. */
  readonly seq: number
}

/**
 * How far behind the greatest `seq` a repair reads. A number is taken before its transaction
 * commits, so a smaller one can become visible after a greater one.
 */
export const OVERLAP = 1000

export function nothing<R extends Row>(): Known<R> {
  return { rows: new Map(), seq: 0 }
}

/** Takes rows in. Returns `known` itself when they tell nothing new. */
export function merge<R extends Row>(known: Known<R>, rows: Iterable<R>): Known<R> {
  let seq = known.seq
  let merged: Map<string, R> | null = null
  for (const row of rows) {
    seq = Math.max(seq, row.seq)
    const held = (merged ?? known.rows).get(String(row.id))
    if (held && held.seq >= row.seq) continue
    merged ??= new Map(known.rows)
    merged.set(String(row.id), row)
  }
  if (!merged) return seq === known.seq ? known : { ...known, seq }
  return { rows: merged, seq }
}

/** Forgets rows that are gone. */
export function forget<R extends Row>(known: Known<R>, ids: Iterable<string | number>): Known<R> {
  const rows = new Map(known.rows)
  let fewer = false
  for (const id of ids) fewer = rows.delete(String(id)) || fewer
  return fewer ? { ...known, rows } : known
}

/**
 * Those of `rows` that are gone, after all of `there` was read: the newest rows, at most `limit` of
 * them, newest first. Older ones than it reached back to may still be there.
 */
export function goneFrom<R extends Dated>(
  rows: Iterable<R>,
  there: readonly Dated[],
  limit: number,
): R[] {
  const ids = new Set(there.map((row) => String(row.id)))
  const last = there.length < limit ? undefined : there.at(-1)
  const oldest = last ? Date.parse(last.created_at) : Number.NEGATIVE_INFINITY
  return [...rows].filter(
    (row) => row.seq > 0 && Date.parse(row.created_at) > oldest && !ids.has(String(row.id)),
  )
}

/** The `seq` after which a repair reads. */
export function since<R extends Row>(known: Known<R>): number {
  return Math.max(0, known.seq - OVERLAP)
}
