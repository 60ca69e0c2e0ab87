/** Which entries the statement shows, as the address of the page says it. */
export const KINDS = ['grant', 'capture', 'hold', 'release'] as const
export type EntryKind = (typeof KINDS)[number]

export interface Statement {
  kind?: EntryKind
}

export function statementOf(search: Record<string, unknown>): Statement {
  return { kind: KINDS.find((kind) => kind === search.kind) }
}
