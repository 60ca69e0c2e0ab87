import { Handle, type NodeProps, Position } from '@xyflow/react'
import type { LucideIcon } from 'lucide-react'
import type { ReactNode } from 'react'
import type { Kind } from '@/graph'
import { useWords } from '@/words'
import type { FlowNode } from '../store'

interface NodeFrameProps {
  kind: Kind
  icon: LucideIcon
  /** What it takes in, for readers of the screen; null where nothing leads into it. */
  takes: string | null
  /** Its width in pixels of the canvas. */
  width: number
  aside?: ReactNode
  children: ReactNode
}

const PORT =
  'size-3! rounded-full border-2! border-surface! bg-edge! transition-colors hover:bg-accent!'

/** The plate that every node stands on: its title, its ports, its content. */
export function NodeFrame(props: NodeFrameProps) {
  const { kind, icon: Icon, takes, width, aside, children } = props
  const { editor } = useWords()
  return (
    <section
      aria-label={editor.kinds[kind]}
      style={{ width }}
      className="rounded-xl border border-line bg-surface shadow-card hover:border-edge/70"
    >
      {takes && <Handle type="target" position={Position.Left} title={takes} className={PORT} />}
      <header className="flex h-9 items-center gap-1.5 px-3 text-xs font-semibold text-quiet">
        <Icon aria-hidden className="size-4 text-accent" strokeWidth={1.75} />
        <span className="min-w-0 flex-1 truncate">{editor.kinds[kind]}</span>
        {aside}
      </header>
      <div className="px-3 pb-3">{children}</div>
      <Handle type="source" position={Position.Right} title={editor.ports[kind]} className={PORT} />
    </section>
  )
}

/** For `memo`: a node's body follows its data alone, wherever it stands and whoever measured it. */
export const sameNode = (one: NodeProps<FlowNode>, other: NodeProps<FlowNode>) =>
  one.data === other.data
