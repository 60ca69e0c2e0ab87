/** The nodes that ask once more for what a job was asked for. */
import type { GenerateRequest } from '@/api/jobs'
import { addNodes, type Graph, newId, newNode, type Picture } from '@/graph'

const COLUMN = 352
const ROW = 480
const REFERENCES_BELOW = 208

/** The canvas with them below everything that is on it. */
export function remade(
  graph: Graph,
  request: GenerateRequest,
  references: readonly Picture[],
): Graph {
  const top = graph.nodes.length ? Math.max(...graph.nodes.map(({ y }) => y)) + ROW : 0
  const left = graph.nodes.length ? Math.min(...graph.nodes.map(({ x }) => x)) : 0
  const prompt = { ...newNode('prompt', left, top), text: request.prompt }
  const brought = references.length
    ? [{ ...newNode('references', left, top + REFERENCES_BELOW), pictures: references }]
    : []
  const settings = {
    ...newNode('settings', left + COLUMN, top),
    model: request.model ?? null,
    aspectRatio: request.aspectRatio ?? null,
    imageSize: request.imageSize ?? null,
    seed: request.seed ?? null,
    identityId: request.identityId ?? null,
    quantity: request.quantity,
  }
  const output = newNode('output', left + 2 * COLUMN, top)
  const edge = (from: string, to: string) => ({ id: newId(), from, to })
  return addNodes(
    graph,
    [prompt, ...brought, settings, output],
    [
      edge(prompt.id, settings.id),
      ...brought.map((node) => edge(node.id, settings.id)),
      edge(settings.id, output.id),
    ],
  )
}
