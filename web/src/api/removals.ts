/** What was deleted and is still being removed everywhere, until the server says that it is gone. */
import { useQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import { create } from 'zustand'
import { persist } from 'zustand/middleware'
import { forget, type Known as Rows } from '@/realtime'
import { cache } from './cache'
import { theClient } from './client'
import { keys } from './keys'
import { dataOf } from './refusal'
import type { Identity } from './rows'
import { theUserId, useUser } from './session'

const POLL_MS = 2000

export interface Removal {
  identityId: string
  name: string
  userId: string
  isDone: boolean
}

interface Known {
  removals: Removal[]
}

// Kept in the browser: a removal may take longer than a visit.
const useKnown = create<Known>()(
  persist(() => ({ removals: [] as Removal[] }), { name: 'tintype.removals' }),
)

const ask = (identityId: string) =>
  dataOf<{ status: 'removing' | 'removed' }>(
    theClient().functions.invoke('delete-identity', { body: { identityId } }),
  )

/** Deletes an identity; the removal of what belongs to it is followed from then on. */
export async function deleteIdentity(identityId: string, name: string): Promise<void> {
  const { status } = await ask(identityId)
  const removal = { identityId, name, userId: theUserId(), isDone: status === 'removed' }
  useKnown.setState(({ removals }) => ({
    removals: [removal, ...removals.filter((one) => one.identityId !== identityId)],
  }))
}

/** Forgets a removal that was seen to be done. */
export function forgetRemoval(identityId: string): void {
  cache.setQueryData<Rows<Identity>>(
    keys.identities,
    (known) => known && forget(known, [identityId]),
  )
  useKnown.setState(({ removals }) => ({
    removals: removals.filter((one) => one.identityId !== identityId),
  }))
}

/** The user's removals, newest first. */
export function useRemovals(): Removal[] {
  const userId = useUser()?.id
  return useKnown((known) => known.removals).filter((one) => one.userId === userId)
}

/** Asks how far a removal is until it is done. */
export function useFollowedRemoval({ identityId, isDone }: Removal): void {
  const { data } = useQuery({
    queryKey: ['removals', identityId],
    enabled: !isDone,
    staleTime: 0,
    refetchInterval: POLL_MS,
    queryFn: () => ask(identityId),
  })
  const isRemoved = data?.status === 'removed'
  useEffect(() => {
    if (!isRemoved) return
    useKnown.setState(({ removals }) => ({
      removals: removals.map((one) =>
        one.identityId === identityId ? { ...one, isDone: true } : one,
      ),
    }))
  }, [isRemoved, identityId])
}
