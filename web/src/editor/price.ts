/**
 * What do a settings node's pictures cost, and who makes them?
 *
 * As the server decides it: an identity is worn by a worker that has learned it, if no model is
 * named, a worker is there and few enough pictures come along. Else a model makes the pictures.
 */
import type { Catalogue, Model } from '@/api/catalogue'
import type { Identity } from '@/api/rows'
import type { SettingsNode } from '@/graph'

export interface Offer {
  by: 'model' | 'worker'
  /** The credits of one picture. */
  each: number
}

type Learned = Pick<Identity, 'id' | 'base_model'>
type Asked = Pick<SettingsNode, 'model' | 'imageSize' | 'identityId'>

/** Null while it is not known what the identity was trained on. */
export function offerOf(
  node: Asked,
  catalogue: Pick<Catalogue, 'models' | 'adapters'>,
  identities: readonly Learned[],
  referenceCount: number,
): Offer | null {
  if (node.identityId === null || node.model !== null) return ofModel(node, catalogue.models)
  const learned = identities.find(({ id }) => id === node.identityId)
  if (!learned) return null
  const adapter = catalogue.adapters.find(({ baseModel }) => baseModel === learned.base_model)
  const isWorn = adapter?.isServed && referenceCount <= adapter.referencesMax
  return isWorn ? { by: 'worker', each: adapter.credits } : ofModel(node, catalogue.models)
}

function ofModel(node: Asked, models: readonly Model[]): Offer | null {
  const model = models.find(({ id }) => id === node.model) ?? models[0]
  return model ? { by: 'model', each: priceOf(model, node.imageSize) } : null
}

/** The size that is made when `size` is asked for: the model's own if it does not know that one. */
export const sizeOf = (model: Model, size: string | null): string =>
  model.imageSizes.some(({ name }) => name === size)
    ? (size as string)
    : (model.imageSizes[0]?.name ?? '')

/** The credits of one picture of a size. */
export const priceOf = (model: Model, size: string | null): number =>
  model.imageSizes.find(({ name }) => name === sizeOf(model, size))?.credits ?? 0
