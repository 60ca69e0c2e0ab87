import type { NodeProps } from '@xyflow/react'
import { GalleryVerticalEnd } from 'lucide-react'
import { lazy, memo, Suspense, useState } from 'react'
import { useShallow } from 'zustand/react/shallow'
import type { OutputNode as Data } from '@/graph'
import { isUnderWay } from '@/graph'
import { Badge } from '@/ui/badge'
import { Button } from '@/ui/button'
import { useWords } from '@/words'
import { type FlowNode, type Run, useEditor } from '../store'
import { NodeFrame, sameNode } from './node-frame'

const PictureView = lazy(() => import('../picture-view'))
const Runs = lazy(() => import('./run-view'))

const NONE: readonly Run[] = []
// The latest runs are in sight; the others are asked for.
const SHOWN_AT_FIRST = 2

export const OutputNode = memo(function OutputNode({ data }: NodeProps<FlowNode>) {
  const node = data.node as Data
  const { editor, shell } = useWords()
  const runs = useEditor((state) => state.runs.get(node.id) ?? NONE)
  const sendings = useEditor(
    useShallow((state) => state.sendings.filter(({ outputId }) => outputId === node.id)),
  )
  const [shown, setShown] = useState(SHOWN_AT_FIRST)
  const [open, setOpen] = useState<string | null>(null)
  const underWay = runs.filter(({ phase }) => isUnderWay(phase)).length + sendings.length
  const visible = runs.slice(0, Math.max(shown, underWay))
  return (
    <NodeFrame
      kind="output"
      icon={GalleryVerticalEnd}
      takes={editor.ports.intoOutput}
      width={384}
      aside={
        underWay > 0 ? (
          <Badge tone="accent">{editor.underWay(underWay)}</Badge>
        ) : (
          runs.length > 0 && (
            <span className="font-normal text-faint">{editor.jobs(runs.length)}</span>
          )
        )
      }
    >
      <div className="flex max-h-[640px] flex-col gap-4 overflow-y-auto nowheel">
        <Suspense>
          {visible.length + sendings.length > 0 && (
            <Runs sendings={sendings} runs={visible} outputId={node.id} onOpen={setOpen} />
          )}
        </Suspense>
        {runs.length > visible.length && (
          <Button size="small" look="quiet" onClick={() => setShown(shown + 5)}>
            {shell.more}
          </Button>
        )}
        {runs.length + sendings.length === 0 && (
          <p className="rounded-md bg-raised px-4 py-14 text-center text-sm text-faint">
            {editor.emptyOutput}
          </p>
        )}
      </div>
      <Suspense>{open && <PictureView runs={runs} pictureId={open} onShow={setOpen} />}</Suspense>
    </NodeFrame>
  )
}, sameNode)
