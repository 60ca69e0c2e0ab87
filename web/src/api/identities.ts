/** Identities: people that a model has learned, or is learning. */
import { theClient } from './client'
import { keys } from './keys'
import { type LiveRows, useLiveRows } from './live-rows'
import { dataOf } from './refusal'
import { useRemovals } from './removals'
import type { Identity } from './rows'
import { theUserId } from './session'

const LISTED_MAX = 200

/** The user's identities, newest first, as they change; without those that are being removed. */
export function useIdentities(enabled = true): LiveRows<Identity> {
  const gone = new Set(useRemovals().map((removal) => removal.identityId))
  const live = useLiveRows<Identity>({
    key: keys.identities,
    subject: { table: 'trained_identities', column: 'user_id', value: theUserId() },
    rowsMax: LISTED_MAX,
    enabled,
    isOpen: (row) => row.status === 'training',
  })
  return gone.size ? { ...live, rows: live.rows.filter((row) => !gone.has(row.id)) } : live
}

export const renameIdentity = (id: string, name: string) =>
  dataOf(theClient().from('trained_identities').update({ identity_name: name }).eq('id', id))
