/**
 * What does the open editor hold?
 *
 * The graph with its history is the truth of the canvas; what React Flow draws is derived from it,
 * node by node, so that a node whose data did not change is not drawn again. Many that come at once
 * are drawn frame by frame, so that the key that brought them is answered in its own. Jobs and
 * pictures are the server's: `runs` is what the rows say at this moment.
 */
import type { Edge as FlowEdge, Node as FlowNodeOf } from '@xyflow/react'
import { createContext, useContext } from 'react'
import { createStore, type StoreApi, useStore } from 'zustand'
import type { Waiting } from '@/api/jobs'
import type { Generation, Identity, Job } from '@/api/rows'
import {
  adopt,
  begin,
  commit,
  EMPTY,
  type Graph,
  type GraphNode,
  type History,
  type Kind,
  type Phase,
  redo,
  undo,
} from '@/graph'

/** React Flow gives looks of its own to a type called `output`. */
export type FlowKind = `${Kind}-node`
export type FlowNode = FlowNodeOf<{ node: GraphNode }, FlowKind>

// So many are drawn in one frame. More would hold up whatever a person does meanwhile.
export const PORTION = 24

/** A request that is on its way and has no job yet. */
export interface Sending {
  key: string
  outputId: string
  quantity: number
  aspectRatio: string | null
  /** Why it is sent once more; null the first time. */
  waits: Waiting | null
  giveUp: () => void
}

/** A picture on its way up. */
export interface Uploading {
  id: string
  nodeId: string
  name: string
  part: number
  preview: string
}

/** One job as an output shows it. */
export interface Run {
  job: Job
  phase: Phase
  pictures: readonly Generation[]
}

export type Saving = 'saved' | 'dirty' | 'saving' | 'failed'

export interface EditorState {
  projectId: string
  history: History
  flow: FlowNode[]
  edges: FlowEdge[]
  saving: Saving
  sendings: readonly Sending[]
  uploads: readonly Uploading[]
  runs: ReadonlyMap<string, readonly Run[]>
  identities: readonly Identity[]
  /** Somebody wants to choose one of them, or has: they are read from then on. */
  wantsIdentities: boolean
  /** Changes the graph as a step that can be taken back. */
  change: (next: (graph: Graph) => Graph, tag?: string) => void
  /** Takes in what came from elsewhere. */
  take: (graph: Graph) => void
  undo: () => void
  redo: () => void
  /** Saves without waiting for a moment's rest. */
  saveNow: () => void
  /** Selects exactly these nodes. */
  select: (ids: ReadonlySet<string>) => void
}

export type EditorStore = StoreApi<EditorState>

export function createEditor(projectId: string, graph: Graph): EditorStore {
  return createStore<EditorState>((set, get) => {
    let isFilling = false
    const fill = () => {
      isFilling = false
      set(({ flow }) => ({ flow: inPortion(flow) }))
      fillLater()
    }
    const fillLater = () => {
      if (isFilling || !get().flow.some(({ hidden }) => hidden)) return
      isFilling = true
      // A frame's callbacks run before it is painted; this waits until it is.
      requestAnimationFrame(() => setTimeout(fill))
    }
    const show = (move: (history: History) => History) => {
      set((state) => {
        const history = move(state.history)
        if (history.present === state.history.present) return { history }
        const { flow, edges } = drawn(history.present, state)
        return { history, edges, flow: inPortion(waiting(flow, state.flow)) }
      })
      fillLater()
    }
    return {
      projectId,
      history: begin(graph),
      ...drawn(graph, { flow: [], edges: [], history: begin(EMPTY) }),
      saving: 'saved',
      sendings: [],
      uploads: [],
      runs: new Map(),
      identities: [],
      wantsIdentities: false,
      change: (next, tag) =>
        show((history) => commit(history, next(history.present), performance.now(), tag ?? null)),
      take: (graph) => show((history) => adopt(history, graph)),
      undo: () => show(undo),
      redo: () => show(redo),
      saveNow: () => {},
      select: (ids) =>
        set(({ flow, edges }) => ({
          flow: flow.map((node) =>
            Boolean(node.selected) === ids.has(node.id)
              ? node
              : { ...node, selected: ids.has(node.id) },
          ),
          edges: edges.map((edge) => (edge.selected ? { ...edge, selected: false } : edge)),
        })),
    }
  })
}

type Drawn = Pick<EditorState, 'flow' | 'edges'>

function drawn(graph: Graph, before: Drawn & Pick<EditorState, 'history'>): Drawn {
  const known = new Map(before.flow.map((node) => [node.id, node]))
  const flow = graph.nodes.map((node): FlowNode => {
    const old = known.get(node.id)
    if (old?.data.node === node) return old
    const position = { x: node.x, y: node.y }
    return { ...old, id: node.id, type: `${node.kind}-node`, position, data: { node } }
  })
  if (graph.edges === before.history.present.edges && before.edges.length === graph.edges.length)
    return { flow, edges: before.edges }
  const drawnEdges = new Map(before.edges.map((edge) => [edge.id, edge]))
  const edges = graph.edges.map(
    ({ id, from, to }): FlowEdge => drawnEdges.get(id) ?? { id, source: from, target: to },
  )
  return { flow, edges }
}

/** What was not there before waits to be drawn. */
function waiting(flow: FlowNode[], before: FlowNode[]): FlowNode[] {
  const known = new Set(before.map(({ id }) => id))
  return flow.map((node) => (known.has(node.id) ? node : { ...node, hidden: true }))
}

/** Lets the next of those be drawn that wait for it. */
function inPortion(flow: FlowNode[]): FlowNode[] {
  let left = PORTION
  return flow.map((node) => (node.hidden && left-- > 0 ? { ...node, hidden: false } : node))
}

export const EditorContext = createContext<EditorStore | null>(null)

export function useEditorStore(): EditorStore {
  const store = useContext(EditorContext)
  if (!store) throw new Error('outside of an editor')
  return store
}

export const useEditor = <T>(pick: (state: EditorState) => T): T => useStore(useEditorStore(), pick)

export const selectedIds = (state: EditorState): Set<string> =>
  new Set(state.flow.filter((node) => node.selected).map((node) => node.id))
