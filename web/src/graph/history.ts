/**
 * How is a change taken back?
 *
 * The graphs before and after the present one are kept whole; they share the nodes that did not
 * change. Changes that follow each other closely under the same tag, as typing does, are one step.
 * Which jobs an output shows is not the person's edit: it is carried along both ways.
 */
import type { Graph, GraphNode } from './graph'

export const STEPS_MAX = 200
export const JOINED_MS = 900

export interface History {
  readonly past: readonly Graph[]
  readonly present: Graph
  readonly future: readonly Graph[]
  readonly tag: string | null
  readonly at: number
}

export function begin(graph: Graph): History {
  return { past: [], present: graph, future: [], tag: null, at: 0 }
}

/** Makes `graph` the present. `tag` joins it to a step of the same tag just before; `now` in ms. */
export function commit(
  history: History,
  graph: Graph,
  now: number,
  tag: string | null = null,
): History {
  if (graph === history.present) return history
  const joins = tag !== null && tag === history.tag && now - history.at < JOINED_MS
  const past = joins ? history.past : [...history.past, history.present].slice(-STEPS_MAX)
  return { past, present: graph, future: [], tag, at: now }
}

/** Makes `graph` the present without a step: what came from elsewhere is not taken back here. */
export function adopt(history: History, graph: Graph): History {
  return graph === history.present ? history : { ...history, present: graph, tag: null }
}

export function undo(history: History): History {
  const before = history.past.at(-1)
  if (!before) return history
  return {
    past: history.past.slice(0, -1),
    present: withJobsOf(before, history.present),
    future: [history.present, ...history.future],
    tag: null,
    at: 0,
  }
}

export function redo(history: History): History {
  const [after, ...future] = history.future
  if (!after) return history
  return {
    past: [...history.past, history.present],
    present: withJobsOf(after, history.present),
    future,
    tag: null,
    at: 0,
  }
}

function withJobsOf(graph: Graph, present: Graph): Graph {
  const shown = new Map<string, readonly string[]>()
  for (const node of present.nodes) if (node.kind === 'output') shown.set(node.id, node.jobIds)
  const carried = (node: GraphNode): GraphNode => {
    const jobIds = shown.get(node.id)
    return node.kind === 'output' && jobIds && jobIds !== node.jobIds ? { ...node, jobIds } : node
  }
  return { ...graph, nodes: graph.nodes.map(carried) }
}
