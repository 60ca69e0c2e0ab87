/**
 * What becomes of a canvas that was changed in two places at once?
 *
 * Both are compared with what they began from, node by node: a change made in one place is kept,
 * one made in both is the nearer one's (`mine`), and what one took away stays away unless the
 * other has changed it since. The jobs of an output are those of both.
 */
import type { Edge, Graph, GraphNode } from './graph'

export function unite(base: Graph, mine: Graph, theirs: Graph): Graph {
  const nodes = uniteById(base.nodes, mine.nodes, theirs.nodes).map((node) =>
    withJobsOfBoth(node, theirs),
  )
  const ids = new Set(nodes.map((node) => node.id))
  const edges = uniteById(base.edges, mine.edges, theirs.edges).filter(
    (edge: Edge) => ids.has(edge.from) && ids.has(edge.to),
  )
  return { nodes, edges }
}

/** Whether two graphs hold the same, whatever objects they are made of. */
export function same(one: Graph, other: Graph): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other)
}

function uniteById<T extends { id: string }>(
  base: readonly T[],
  mine: readonly T[],
  theirs: readonly T[],
): T[] {
  const [before, here, there] = [base, mine, theirs].map(
    (all) => new Map(all.map((one) => [one.id, one])),
  ) as [Map<string, T>, Map<string, T>, Map<string, T>]
  const ids = new Set([...theirs.map((one) => one.id), ...mine.map((one) => one.id)])
  const kept: T[] = []
  for (const id of ids) {
    const [was, ours, other] = [before.get(id), here.get(id), there.get(id)]
    const changedHere = !equal(was, ours)
    const chosen = changedHere && (ours !== undefined || equal(was, other)) ? ours : other
    if (chosen) kept.push(chosen)
  }
  return kept
}

function withJobsOfBoth(node: GraphNode, theirs: Graph): GraphNode {
  if (node.kind !== 'output') return node
  const other = theirs.nodes.find((one) => one.id === node.id)
  if (other?.kind !== 'output') return node
  const more = other.jobIds.filter((id) => !node.jobIds.includes(id))
  return more.length === 0 ? node : { ...node, jobIds: [...more, ...node.jobIds] }
}

function equal(one: unknown, other: unknown): boolean {
  return one === other || JSON.stringify(one) === JSON.stringify(other)
}
