import { useReactFlow } from '@xyflow/react'
import { useMemo } from 'react'
import {
  addNodes,
  arrange,
  connect,
  copyOf,
  fromText,
  type Graph,
  type GraphNode,
  type Kind,
  LEADS_INTO,
  newNode,
  nodeById,
  pieceOf,
  removeEdges,
  removeNodes,
  settingsToRun,
  toText,
} from '@/graph'
import { toast } from '@/ui/toast'
import { useWords } from '@/words'
import { selectedIds, useEditorStore } from './store'
import { useRun } from './use-run'

const GAP = 28
const BESIDE = 352
const SIZE = { width: 288, height: 240 }

/** Everything a person does to the canvas as a whole; menus, keys and buttons all call these. */
export function useCommands() {
  const store = useEditorStore()
  const flow = useReactFlow()
  const run = useRun()
  const { editor } = useWords()

  return useMemo(() => {
    const middle = () => {
      const pane = document.querySelector('.react-flow')?.getBoundingClientRect()
      if (!pane) return { x: 0, y: 0 }
      return flow.screenToFlowPosition({
        x: pane.left + pane.width / 2 - SIZE.width / 2,
        y: pane.top + pane.height / 3,
      })
    }

    /** A place at `at` or below it where nothing stands yet. */
    function free(at: { x: number; y: number }, size = SIZE) {
      const place = { x: Math.round(at.x), y: Math.round(at.y) }
      const taken = store.getState().flow.map(({ position, measured }) => ({
        ...position,
        right: position.x + (measured?.width ?? SIZE.width),
        bottom: position.y + (measured?.height ?? SIZE.height),
      }))
      const inTheWay = () =>
        taken.find(
          (one) =>
            one.x < place.x + size.width &&
            place.x < one.right &&
            one.y < place.y + size.height &&
            place.y < one.bottom,
        )
      for (let one = inTheWay(); one; one = inTheWay()) place.y = Math.round(one.bottom) + GAP
      return place
    }

    function put(piece: Graph, at = middle()): void {
      const { change, select } = store.getState()
      const copy = copyOf(piece, free(at, sizeOf(piece)))
      change((graph) => addNodes(graph, copy.nodes, copy.edges))
      select(new Set(copy.nodes.map(({ id }) => id)))
    }

    return {
      /** Adds a node; beside the selected one and connected to it, if the two fit. */
      add(kind: Kind, at?: { x: number; y: number }): GraphNode {
        const state = store.getState()
        const ids = [...selectedIds(state)]
        const source =
          !at && ids[0] && ids.length === 1 ? nodeById(state.history.present, ids[0]) : undefined
        const leads = source && LEADS_INTO[source.kind].includes(kind)
        const led = source && LEADS_INTO[kind].includes(source.kind)
        const near = source && {
          x: source.x + (leads ? BESIDE : led ? -BESIDE : 0),
          y: source.y,
        }
        const place = free(near ?? at ?? middle())
        const node = newNode(kind, place.x, place.y) as GraphNode
        state.change((graph) => {
          const added = addNodes(graph, [node])
          if (!source || !(leads || led)) return added
          const joined = leads
            ? connect(added, source.id, node.id)
            : connect(added, node.id, source.id)
          return typeof joined === 'string' ? added : joined
        })
        state.select(new Set([node.id]))
        return node
      },
      put,
      connect(from: string, to: string): void {
        const { history, change } = store.getState()
        const joined = connect(history.present, from, to)
        if (typeof joined === 'string') toast.error(editor.refusedEdges[joined])
        else change(() => joined)
      },
      duplicate(): void {
        const state = store.getState()
        const piece = pieceOf(state.history.present, selectedIds(state))
        const [first] = piece.nodes
        if (!first) return
        put(piece, {
          x: Math.min(...piece.nodes.map(({ x }) => x)),
          y: Math.min(...piece.nodes.map(({ y }) => y)),
        })
      },
      /** The selected nodes as text for the clipboard; null if none is selected. */
      copied(): string | null {
        const state = store.getState()
        const piece = pieceOf(state.history.present, selectedIds(state))
        if (piece.nodes.length === 0) return null
        toast(editor.copied(piece.nodes.length))
        return toText(piece)
      },
      /** Puts nodes in from a text; false if it holds none. */
      paste(text: string): boolean {
        const piece = fromText(text)
        if (piece) put(piece)
        return piece !== null
      },
      remove(): void {
        const state = store.getState()
        const nodes = selectedIds(state)
        const edges = new Set(state.edges.filter((edge) => edge.selected).map((edge) => edge.id))
        if (nodes.size + edges.size === 0) return
        state.change((graph) => removeEdges(removeNodes(graph, nodes), edges))
      },
      selectAll(): void {
        const { flow: nodes, select } = store.getState()
        select(new Set(nodes.map(({ id }) => id)))
      },
      tidy(): void {
        const { change, flow: nodes } = store.getState()
        const sizes = new Map(nodes.map((node) => [node.id, node.measured]))
        change((graph) =>
          arrange(graph, ({ id }) => ({
            width: sizes.get(id)?.width ?? SIZE.width,
            height: sizes.get(id)?.height ?? SIZE.height,
          })),
        )
        requestAnimationFrame(() => void flow.fitView({ padding: 0.15, duration: 250, maxZoom: 1 }))
      },
      runSelected(): void {
        const state = store.getState()
        const graph = state.history.present
        const chosen = selectedIds(state)
        const ids = chosen.size > 0 ? chosen : graph.nodes.map(({ id }) => id)
        const settings = settingsToRun(graph, ids)
        if (settings.length === 0) toast.error(editor.nothingToRun)
        for (const node of settings) run(node.id)
      },
    }
  }, [store, flow, run, editor])
}

/** How much room a piece takes, its last nodes guessed. */
function sizeOf({ nodes }: Graph): { width: number; height: number } {
  const [xs, ys] = [nodes.map(({ x }) => x), nodes.map(({ y }) => y)]
  return {
    width: Math.max(...xs) - Math.min(...xs) + SIZE.width,
    height: Math.max(...ys) - Math.min(...ys) + SIZE.height,
  }
}

export type Commands = ReturnType<typeof useCommands>
