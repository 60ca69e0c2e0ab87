import {
  applyEdgeChanges,
  applyNodeChanges,
  Background,
  type Connection,
  type EdgeChange,
  MiniMap,
  type NodeChange,
  Panel,
  ReactFlow,
  useReactFlow,
} from '@xyflow/react'
import { ImageDown, Maximize2, Minus, Plus } from 'lucide-react'
import { type DragEvent, useCallback, useState } from 'react'
import { edgeRefusal, moveNodes } from '@/graph'
import { IconButton } from '@/ui/button'
import { useWords } from '@/words'
import { OutputNode } from './nodes/output-node'
import { PromptNode } from './nodes/prompt-node'
import { ReferencesNode } from './nodes/references-node'
import { SettingsNode } from './nodes/settings-node'
import { type FlowNode, useEditor, useEditorStore } from './store'
import type { Commands } from './use-commands'
import { useUploads } from './use-uploads'
import '@xyflow/react/dist/base.css'
import './canvas.css'

const NODE_TYPES = {
  'prompt-node': PromptNode,
  'references-node': ReferencesNode,
  'settings-node': SettingsNode,
  'output-node': OutputNode,
}
const FIT = { padding: 0.18, maxZoom: 1 }
// A map, and drawing only what is in sight, pay from here on.
const MANY_NODES = 40

/** The canvas itself. React Flow moves and selects; what is on it is the store's. */
export function Canvas({ commands }: { commands: Commands }) {
  const store = useEditorStore()
  const flow = useEditor((state) => state.flow)
  const edges = useEditor((state) => state.edges)
  const { editor } = useWords()
  const dropping = useDrop(commands)

  const onNodesChange = useCallback(
    (changes: NodeChange<FlowNode>[]) => {
      store.setState((state) => ({ flow: applyNodeChanges(changes, state.flow) }))
      const places = new Map<string, { x: number; y: number }>()
      for (const change of changes)
        if (change.type === 'position' && change.position && !change.dragging)
          places.set(change.id, {
            x: Math.round(change.position.x),
            y: Math.round(change.position.y),
          })
      if (places.size > 0) store.getState().change((graph) => moveNodes(graph, places), 'move')
    },
    [store],
  )
  const onEdgesChange = useCallback(
    (changes: EdgeChange[]) =>
      store.setState((state) => ({ edges: applyEdgeChanges(changes, state.edges) })),
    [store],
  )
  const isValid = useCallback(
    ({ source, target }: { source: string; target: string }) =>
      edgeRefusal(store.getState().history.present, source, target) === null,
    [store],
  )

  return (
    <div className="relative h-full" {...dropping.handlers}>
      <ReactFlow
        aria-label={editor.canvas}
        nodes={flow}
        edges={edges}
        nodeTypes={NODE_TYPES}
        onNodesChange={onNodesChange}
        onEdgesChange={onEdgesChange}
        onConnect={({ source, target }: Connection) => commands.connect(source, target)}
        isValidConnection={isValid}
        defaultEdgeOptions={{ interactionWidth: 24 }}
        deleteKeyCode={null}
        multiSelectionKeyCode={['Meta', 'Control', 'Shift']}
        selectionKeyCode="Shift"
        panOnScroll
        minZoom={0.1}
        maxZoom={2}
        fitView
        fitViewOptions={FIT}
        onlyRenderVisibleElements={flow.length > MANY_NODES}
        proOptions={{ hideAttribution: true }}
      >
        <Background gap={24} size={1.5} />
        {flow.length > MANY_NODES && (
          <MiniMap pannable zoomable position="bottom-right" ariaLabel={editor.canvas} />
        )}
        <Zoom />
      </ReactFlow>
      {dropping.isOver && (
        <div className="fade pointer-events-none absolute inset-2 flex items-center justify-center rounded-xl border-2 border-dashed border-accent bg-accent-soft/80">
          <p className="flex items-center gap-2 text-lg font-medium text-accent-strong">
            <ImageDown aria-hidden className="size-6" strokeWidth={1.5} />
            {editor.dropCanvas}
          </p>
        </div>
      )}
    </div>
  )
}

function Zoom() {
  const { editor } = useWords()
  const flow = useReactFlow()
  return (
    <Panel
      position="bottom-left"
      className="flex gap-0.5 rounded-lg border border-line bg-surface p-1 shadow-card"
    >
      <IconButton
        icon={Minus}
        label={editor.zoomOut}
        side="top"
        onClick={() => void flow.zoomOut({ duration: 150 })}
      />
      <IconButton
        icon={Plus}
        label={editor.zoomIn}
        side="top"
        onClick={() => void flow.zoomIn({ duration: 150 })}
      />
      <IconButton
        icon={Maximize2}
        label={editor.fit}
        side="top"
        onClick={() => void flow.fitView({ ...FIT, duration: 250 })}
      />
    </Panel>
  )
}

/** Pictures that are dropped on the canvas become a references node there. */
function useDrop(commands: Commands) {
  const flow = useReactFlow()
  const upload = useUploads()
  const [isOver, setOver] = useState(false)
  const hasFiles = (event: DragEvent) => event.dataTransfer.types.includes('Files')
  return {
    isOver,
    handlers: {
      onDragOver: (event: DragEvent) => {
        if (!hasFiles(event)) return
        event.preventDefault()
        setOver(!(event.target as Element).closest('.react-flow__node'))
      },
      onDragLeave: (event: DragEvent) => {
        if (!event.currentTarget.contains(event.relatedTarget as Node | null)) setOver(false)
      },
      onDrop: (event: DragEvent) => {
        setOver(false)
        if (!hasFiles(event)) return
        event.preventDefault()
        const at = flow.screenToFlowPosition({ x: event.clientX, y: event.clientY })
        upload(() => commands.add('references', at).id, [...event.dataTransfer.files])
      },
    },
  }
}
