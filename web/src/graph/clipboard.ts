/** A piece of a canvas as text: for the clipboard, for templates, and to be put in once more. */
import { read, write } from './file'
import type { Graph, GraphNode } from './graph'
import { newId } from './graph'

const MARK = 'tintype/nodes'

/** The nodes of `ids` with the edges between them; outputs come without their jobs. */
export function pieceOf(graph: Graph, ids: ReadonlySet<string>): Graph {
  const bare = (node: GraphNode): GraphNode =>
    node.kind === 'output' ? { ...node, jobIds: [] } : node
  return {
    nodes: graph.nodes.filter((node) => ids.has(node.id)).map(bare),
    edges: graph.edges.filter((edge) => ids.has(edge.from) && ids.has(edge.to)),
  }
}

export function toText(piece: Graph): string {
  return JSON.stringify({ ...write(piece), kind: MARK })
}

/** Null for a text that holds no nodes of ours. */
export function fromText(text: string): Graph | null {
  try {
    const stored = JSON.parse(text) as { kind?: unknown }
    const piece = stored?.kind === MARK ? read(stored) : null
    return piece && piece.nodes.length > 0 ? piece : null
  } catch {
    return null
  }
}

/** The piece with new ids, its upper left corner at `at`. */
export function copyOf(piece: Graph, at: { x: number; y: number }): Graph {
  const ids = new Map(piece.nodes.map((node) => [node.id, newId()]))
  const left = Math.min(...piece.nodes.map((node) => node.x))
  const top = Math.min(...piece.nodes.map((node) => node.y))
  const renamed = (id: string) => ids.get(id) ?? id
  return {
    nodes: piece.nodes.map((node) => ({
      ...node,
      id: renamed(node.id),
      x: Math.round(node.x - left + at.x),
      y: Math.round(node.y - top + at.y),
    })),
    edges: piece.edges.map((edge) => ({
      id: newId(),
      from: renamed(edge.from),
      to: renamed(edge.to),
    })),
  }
}
