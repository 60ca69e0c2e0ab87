/** Templates: a piece of canvas with a name. */
import { useMutation, useQuery } from '@tanstack/react-query'
import { cache } from './cache'
import { theClient } from './client'
import { keys } from './keys'
import { dataOf } from './refusal'
import type { Template } from './rows'
import { theUserId } from './session'

const LISTED_MAX = 100

const table = () => theClient().from('templates')
const changed = () => cache.invalidateQueries({ queryKey: keys.templates })

export function useTemplates() {
  return useQuery({
    queryKey: keys.templates,
    queryFn: () =>
      dataOf<Template[]>(
        table().select('*').order('updated_at', { ascending: false }).limit(LISTED_MAX),
      ),
  })
}

export function useSaveTemplate() {
  return useMutation({
    mutationFn: (made: { name: string; prompt: string; settings: Record<string, unknown> }) =>
      dataOf(table().insert({ ...made, user_id: theUserId() })),
    onSuccess: changed,
  })
}

export function useRemoveTemplate() {
  return useMutation({
    mutationFn: (id: string) => dataOf(table().delete().eq('id', id)),
    onSuccess: changed,
  })
}
