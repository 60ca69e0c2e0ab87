/** The model catalogue: what can be asked for, and what it costs. */
import { useQuery } from '@tanstack/react-query'
import { theClient } from './client'
import { keys } from './keys'
import { dataOf } from './refusal'

export interface Model {
  id: string
  title: string
  provider: string
  isDefault: boolean
  aspectRatios: string[]
  /** The default first. */
  imageSizes: { name: string; credits: number }[]
  referencesMax: number
  takesSeed: boolean
  personGenerations: string[]
  retiresAt: string | null
  replacedBy: string | null
}

/** What training an identity costs: `credits` for each `stepsEach` begun. */
export interface TrainingOffer {
  credits: number
  stepsEach: number
  /** How many there are when none are asked for. */
  steps: number
  stepsMax: number
  /** Whether the operator has given an account to publish identities with. */
  isOffered: boolean
}

/** What a picture costs that a worker makes with what it has learned of somebody. */
export interface AdapterOffer {
  /** What the identity was trained on. */
  baseModel: string
  credits: number
  /** Whether a worker is there. */
  isServed: boolean
  /** So many pictures may come along. */
  referencesMax: number
}

export interface Catalogue {
  /** The default first. */
  models: Model[]
  adapters: AdapterOffer[]
  training: TrainingOffer
  quantityMax: number
  promptCharactersMax: number
  seedMax: number
}

export function useCatalogue() {
  return useQuery({
    queryKey: keys.models,
    // Workers come and go.
    staleTime: 60_000,
    queryFn: () =>
      dataOf<Catalogue>(theClient().functions.invoke('list-models', { method: 'GET' })),
  })
}
