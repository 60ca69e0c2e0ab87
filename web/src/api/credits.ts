/** Credits: what is settled, what jobs under way hold, and what is left. */
import { useQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import { watch } from '@/realtime'
import { cache } from './cache'
import { theClient } from './client'
import { keys } from './keys'
import { dataOf } from './refusal'
import type { CreditAccount } from './rows'
import { useUser } from './session'

let changesTold = 0

/** The account as it changes; null when nothing was ever granted or spent. */
export function useCredits() {
  const userId = useUser()?.id
  useEffect(() => {
    if (!userId) return
    const read = () => void cache.invalidateQueries({ queryKey: keys.account })
    return watch(
      theClient(),
      { table: 'credit_accounts', column: 'user_id', value: userId },
      {
        onRow: (row) => {
          changesTold += 1
          const before = cache.getQueryData<CreditAccount>(keys.account)
          cache.setQueryData(keys.account, { ...before, ...row })
          void cache.invalidateQueries({ queryKey: keys.entries })
        },
        onGone: (old) => old.user_id === userId && read(),
        onLive: read,
        onAway: () => {},
      },
    )
  }, [userId])
  return useQuery({
    queryKey: keys.account,
    enabled: Boolean(userId),
    refetchOnWindowFocus: true,
    queryFn: readAccount,
  })
}

async function readAccount(): Promise<CreditAccount | null> {
  const before = changesTold
  const read = await dataOf<CreditAccount | null>(
    theClient().from('credit_accounts').select('*').maybeSingle(),
  )
  // What was told meanwhile is newer, or followed by what is: an answer may be late.
  const told = cache.getQueryData<CreditAccount>(keys.account)
  return changesTold === before ? read : (told ?? read)
}

/** The credits that a job gave back; null while it has given none. */
export function useReleased(jobId: string) {
  return useQuery({
    queryKey: [...keys.entries, 'released', jobId],
    queryFn: async () => {
      const asked = theClient().from('credit_entries').select('amount')
      const rows = await dataOf<{ amount: number }[]>(
        asked.eq('hold_id', jobId).eq('kind', 'release'),
      )
      return rows.length ? rows.reduce((sum, row) => sum + row.amount, 0) : null
    },
  })
}
