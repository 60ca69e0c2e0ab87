/**
 * How is a graph kept in a project's row?
 *
 * `write` gives what is stored, `read` takes back whatever is there: an empty row, what an older
 * version wrote, or something that is no graph of ours. What it does not know it leaves out, so a
 * canvas always opens. Pictures are kept by where they lie: a data URL never gets into a row.
 */
import type { Edge, Graph, GraphNode, Kind, Picture } from './graph'
import { KINDS, LEADS_INTO } from './graph'

export const VERSION = 1

type Fields = Record<string, unknown>

export function write(graph: Graph): Fields {
  return { version: VERSION, nodes: graph.nodes, edges: graph.edges }
}

export function read(stored: unknown): Graph {
  const file = migrate(isFields(stored) ? stored : {})
  const nodes = list(file.nodes).flatMap(readNode)
  const kinds = new Map(nodes.map((node) => [node.id, node.kind]))
  const edges = list(file.edges).flatMap((edge) => readEdge(edge, kinds))
  return { nodes, edges }
}

/** Version 0 is React Flow's own form, as apps keep it that store their canvas whole. */
function migrate(file: Fields): Fields {
  if (file.version !== undefined) return file
  return {
    version: VERSION,
    nodes: list(file.nodes).map((node) => {
      const { position, data, type, id } = node as Fields
      const place = isFields(position) ? position : {}
      const kind = OLD_KINDS[String(type).replace(/Node$/, '')] ?? type
      const told = isFields(data) ? data : {}
      return { ...told, text: told.text ?? told.prompt ?? told.value, kind, id, ...place }
    }),
    edges: list(file.edges).map((edge) => {
      const { id, source, target } = edge as Fields
      return { id, from: source, to: target }
    }),
  }
}

const OLD_KINDS: Record<string, Kind> = {
  prompt: 'prompt',
  media: 'references',
  image: 'references',
  references: 'references',
  settings: 'settings',
  output: 'output',
  result: 'output',
}

function readNode(stored: Fields): GraphNode[] {
  const { id, kind } = stored
  if (typeof id !== 'string' || !KINDS.includes(kind as Kind)) return []
  const placed = { id, x: finite(stored.x), y: finite(stored.y) }
  switch (kind as Kind) {
    case 'prompt':
      return [{ ...placed, kind: 'prompt', text: text(stored.text) ?? '' }]
    case 'references':
      return [{ ...placed, kind: 'references', pictures: list(stored.pictures).flatMap(picture) }]
    case 'settings':
      return [
        {
          ...placed,
          kind: 'settings',
          model: text(stored.model),
          aspectRatio: text(stored.aspectRatio),
          imageSize: text(stored.imageSize),
          quantity: Math.max(1, Math.round(finite(stored.quantity, 4))),
          seed: typeof stored.seed === 'number' ? Math.round(stored.seed) : null,
          identityId: text(stored.identityId),
        },
      ]
    case 'output': {
      const ids = Array.isArray(stored.jobIds) ? stored.jobIds : []
      return [{ ...placed, kind: 'output', jobIds: ids.filter((one) => typeof one === 'string') }]
    }
  }
}

function readEdge(stored: Fields, kinds: ReadonlyMap<string, Kind>): Edge[] {
  const { id, from, to } = stored
  const [source, target] = [kinds.get(String(from)), kinds.get(String(to))]
  if (!source || !target || !LEADS_INTO[source].includes(target)) return []
  return [{ id: typeof id === 'string' ? id : `${from}-${to}`, from: String(from), to: String(to) }]
}

function picture(stored: Fields): Picture[] {
  const { bucket, path } = stored
  const isPlace = typeof bucket === 'string' && typeof path === 'string'
  return isPlace && !path.startsWith('data:') ? [{ bucket, path }] : []
}

function list(value: unknown): Fields[] {
  return Array.isArray(value) ? value.filter(isFields) : []
}

function isFields(value: unknown): value is Fields {
  return typeof value === 'object' && value !== null && !Array.isArray(value)
}

function text(value: unknown): string | null {
  return typeof value === 'string' && value !== '' ? value : null
}

function finite(value: unknown, otherwise = 0): number {
  return typeof value === 'number' && Number.isFinite(value) ? value : otherwise
}
