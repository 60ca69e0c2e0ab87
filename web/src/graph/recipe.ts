/** What would a settings node ask for? Its own fields, and whatever leads into it. */
import type { Graph, Picture, SettingsNode } from './graph'
import { nodeById, sourcesOf, targetsOf } from './graph'

export interface Recipe {
  prompt: string
  quantity: number
  model?: string
  aspectRatio?: string
  imageSize?: string
  seed?: number
  identityId?: string
  imageUrls?: string[]
}

export type Problem = 'prompt_missing' | 'prompt_long' | 'references_many'

/** What the chosen model allows. */
export interface Bounds {
  promptCharactersMax: number
  referencesMax: number
  takesSeed: boolean
}

/**
 * The request of a settings node, or why there is none. Several prompts are one text, from top to
 * bottom. `picturesOf` gives what an output shows.
 */
export function recipeOf(
  graph: Graph,
  node: SettingsNode,
  bounds: Bounds,
  picturesOf: (outputId: string) => readonly Picture[],
): Recipe | Problem {
  const sources = sourcesOf(graph, node.id)
  const prompt = sources
    .flatMap((source) => (source.kind === 'prompt' ? [source.text.trim()] : []))
    .filter(Boolean)
    .join('\n\n')
  if (!prompt) return 'prompt_missing'
  if ([...prompt].length > bounds.promptCharactersMax) return 'prompt_long'
  const pictures = sources.flatMap((source) => {
    if (source.kind === 'references') return source.pictures
    return source.kind === 'output' ? picturesOf(source.id) : []
  })
  if (pictures.length > bounds.referencesMax) return 'references_many'
  return {
    prompt,
    quantity: node.quantity,
    model: node.model ?? undefined,
    aspectRatio: node.aspectRatio ?? undefined,
    imageSize: node.imageSize ?? undefined,
    seed: bounds.takesSeed ? (node.seed ?? undefined) : undefined,
    identityId: node.identityId ?? undefined,
    imageUrls: pictures.length
      ? pictures.map(({ bucket, path }) => `${bucket}/${path}`)
      : undefined,
  }
}

/** The settings nodes that running `ids` means: themselves, and those their nodes lead to or from. */
export function settingsToRun(graph: Graph, ids: Iterable<string>): SettingsNode[] {
  const found = new Map<string, SettingsNode>()
  const take = (node: ReturnType<typeof nodeById>) => {
    if (node?.kind === 'settings') found.set(node.id, node)
  }
  for (const id of ids) {
    const node = nodeById(graph, id)
    take(node)
    if (node?.kind === 'output') sourcesOf(graph, id).forEach(take)
    else if (node) targetsOf(graph, id).forEach(take)
  }
  return [...found.values()]
}
