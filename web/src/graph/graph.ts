/**
 * What stands on a canvas? Nodes, and edges from one to another; plain data, changed by functions
 * that return a new graph and keep every node that did not change.
 *
 * What leads into what follows from the kinds alone: prompts, pictures and outputs lead into a
 * settings node, which leads into outputs.
 */
export const KINDS = ['prompt', 'references', 'settings', 'output'] as const
export type Kind = (typeof KINDS)[number]

/** A picture by where it lies; never its bytes. */
export interface Picture {
  bucket: string
  path: string
}

interface Placed {
  id: string
  x: number
  y: number
}

export interface PromptNode extends Placed {
  kind: 'prompt'
  text: string
}

export interface ReferencesNode extends Placed {
  kind: 'references'
  pictures: readonly Picture[]
}

/** Null is the server's own choice. */
export interface SettingsNode extends Placed {
  kind: 'settings'
  model: string | null
  aspectRatio: string | null
  imageSize: string | null
  quantity: number
  seed: number | null
  identityId: string | null
}

export interface OutputNode extends Placed {
  kind: 'output'
  /** The jobs whose pictures it shows, oldest first. */
  jobIds: readonly string[]
}

export type GraphNode = PromptNode | ReferencesNode | SettingsNode | OutputNode
export type NodeOf<K extends Kind> = Extract<GraphNode, { kind: K }>

export interface Edge {
  id: string
  from: string
  to: string
}

export interface Graph {
  readonly nodes: readonly GraphNode[]
  readonly edges: readonly Edge[]
}

export type EdgeRefusal = 'kinds' | 'same' | 'twice' | 'taken' | 'circle'

export const EMPTY: Graph = { nodes: [], edges: [] }

export const LEADS_INTO: Record<Kind, readonly Kind[]> = {
  prompt: ['settings'],
  references: ['settings'],
  settings: ['output'],
  output: ['settings'],
}

export const newId = (): string => crypto.randomUUID()

/** A new node of a kind, as it comes from the palette. */
export function newNode<K extends Kind>(kind: K, x: number, y: number): NodeOf<K>
export function newNode(kind: Kind, x: number, y: number): GraphNode {
  const placed = { id: newId(), x: Math.round(x), y: Math.round(y) }
  switch (kind) {
    case 'prompt':
      return { ...placed, kind, text: '' }
    case 'references':
      return { ...placed, kind, pictures: [] }
    case 'settings':
      return {
        ...placed,
        kind,
        model: null,
        aspectRatio: null,
        imageSize: null,
        quantity: 4,
        seed: null,
        identityId: null,
      }
    case 'output':
      return { ...placed, kind, jobIds: [] }
  }
}

export function nodeById(graph: Graph, id: string): GraphNode | undefined {
  return graph.nodes.find((node) => node.id === id)
}

/** The nodes that lead into one, from top to bottom. */
export function sourcesOf(graph: Graph, id: string): GraphNode[] {
  const ids = new Set(graph.edges.filter((edge) => edge.to === id).map((edge) => edge.from))
  return graph.nodes.filter((node) => ids.has(node.id)).sort((one, two) => one.y - two.y)
}

/** The nodes that one leads into, from top to bottom. */
export function targetsOf(graph: Graph, id: string): GraphNode[] {
  const ids = new Set(graph.edges.filter((edge) => edge.from === id).map((edge) => edge.to))
  return graph.nodes.filter((node) => ids.has(node.id)).sort((one, two) => one.y - two.y)
}

export function addNodes(graph: Graph, nodes: readonly GraphNode[], edges: readonly Edge[] = []) {
  return { nodes: [...graph.nodes, ...nodes], edges: [...graph.edges, ...edges] }
}

/** Changes some fields of a node. An unknown id changes nothing. */
export function changeNode<K extends Kind>(
  graph: Graph,
  id: string,
  fields: Partial<Omit<NodeOf<K>, 'id' | 'kind'>>,
): Graph {
  let found = false
  const nodes = graph.nodes.map((node) => {
    if (node.id !== id) return node
    found = true
    return { ...node, ...fields } as GraphNode
  })
  return found ? { ...graph, nodes } : graph
}

export function moveNodes(graph: Graph, places: ReadonlyMap<string, { x: number; y: number }>) {
  let moved = false
  const nodes = graph.nodes.map((node) => {
    const place = places.get(node.id)
    if (!place || (place.x === node.x && place.y === node.y)) return node
    moved = true
    return { ...node, x: place.x, y: place.y }
  })
  return moved ? { ...graph, nodes } : graph
}

/** Takes nodes away, and every edge that loses an end. */
export function removeNodes(graph: Graph, ids: ReadonlySet<string>): Graph {
  return {
    nodes: graph.nodes.filter((node) => !ids.has(node.id)),
    edges: graph.edges.filter((edge) => !ids.has(edge.from) && !ids.has(edge.to)),
  }
}

export function removeEdges(graph: Graph, ids: ReadonlySet<string>): Graph {
  return { ...graph, edges: graph.edges.filter((edge) => !ids.has(edge.id)) }
}

/** Why one node may not lead into another; null if it may. */
export function edgeRefusal(graph: Graph, from: string, to: string): EdgeRefusal | null {
  if (from === to) return 'same'
  const [source, target] = [nodeById(graph, from), nodeById(graph, to)]
  if (!source || !target || !LEADS_INTO[source.kind].includes(target.kind)) return 'kinds'
  if (graph.edges.some((edge) => edge.from === from && edge.to === to)) return 'twice'
  if (target.kind === 'output' && graph.edges.some((edge) => edge.to === to)) return 'taken'
  return reaches(graph, to, from) ? 'circle' : null
}

export function connect(graph: Graph, from: string, to: string): Graph | EdgeRefusal {
  const refusal = edgeRefusal(graph, from, to)
  if (refusal) return refusal
  return { ...graph, edges: [...graph.edges, { id: newId(), from, to }] }
}

function reaches(graph: Graph, from: string, to: string): boolean {
  const seen = new Set<string>()
  const left = [from]
  for (let id = left.pop(); id !== undefined; id = left.pop()) {
    if (id === to) return true
    if (seen.has(id)) continue
    seen.add(id)
    for (const edge of graph.edges) if (edge.from === id) left.push(edge.to)
  }
  return false
}
