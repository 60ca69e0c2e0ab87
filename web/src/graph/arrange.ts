/** Where do nodes stand so that a canvas reads from left to right? */
import type { Graph, GraphNode } from './graph'
import { moveNodes } from './graph'

const GAP_X = 72
const GAP_Y = 28

/** Each node one column behind the last that leads into it; `sizeOf` gives what is drawn. */
export function arrange(
  graph: Graph,
  sizeOf: (node: GraphNode) => { width: number; height: number },
): Graph {
  const depths = depthsOf(graph)
  const columns = new Map<number, GraphNode[]>()
  for (const node of graph.nodes) {
    const depth = depths.get(node.id) ?? 0
    columns.set(depth, [...(columns.get(depth) ?? []), node])
  }
  const places = new Map<string, { x: number; y: number }>()
  let x = Math.min(0, ...graph.nodes.map((node) => node.x))
  for (const depth of [...columns.keys()].sort((one, two) => one - two)) {
    const column = (columns.get(depth) ?? []).sort(
      (one, two) => height(one, places, graph) - height(two, places, graph),
    )
    let y = 0
    for (const node of column) {
      places.set(node.id, { x, y })
      y += sizeOf(node).height + GAP_Y
    }
    x += Math.max(...column.map((node) => sizeOf(node).width)) + GAP_X
  }
  return moveNodes(graph, places)
}

/** How high what leads into a node stands; nodes follow their sources. */
function height(node: GraphNode, places: Map<string, { y: number }>, graph: Graph): number {
  const above = graph.edges
    .filter((edge) => edge.to === node.id)
    .flatMap((edge) => places.get(edge.from)?.y ?? [])
  return above.length ? above.reduce((sum, y) => sum + y, 0) / above.length : node.y
}

function depthsOf(graph: Graph): Map<string, number> {
  const depths = new Map(graph.nodes.map((node) => [node.id, 0]))
  // No circle is ever made, so the longest way has fewer edges than there are nodes.
  for (let round = 0; round < graph.nodes.length; round += 1) {
    let changed = false
    for (const { from, to } of graph.edges) {
      const deeper = (depths.get(from) ?? 0) + 1
      if (deeper > (depths.get(to) ?? 0) && deeper < graph.nodes.length) {
        depths.set(to, deeper)
        changed = true
      }
    }
    if (!changed) break
  }
  return depths
}
