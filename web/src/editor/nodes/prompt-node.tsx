import type { NodeProps } from '@xyflow/react'
import { TextCursorInput } from 'lucide-react'
import { memo } from 'react'
import { useCatalogue } from '@/api/catalogue'
import { changeNode, type PromptNode as Data } from '@/graph'
import { classes } from '@/ui/classes'
import { Textarea } from '@/ui/field'
import { useFormat, useWords } from '@/words'
import { type FlowNode, useEditor } from '../store'
import { NodeFrame, sameNode } from './node-frame'

const CHARACTERS_MAX = 5000
// From here on it says how much is left.
const NEAR_END = 0.8

export const PromptNode = memo(function PromptNode({ data }: NodeProps<FlowNode>) {
  return (
    <NodeFrame kind="prompt" icon={TextCursorInput} takes={null} width={288}>
      <Prompt node={data.node as Data} />
    </NodeFrame>
  )
}, sameNode)

// Apart from its frame, so that selecting a node draws no more than the frame anew.
const Prompt = memo(function Prompt({ node }: { node: Data }) {
  const { editor } = useWords()
  const format = useFormat()
  const change = useEditor((state) => state.change)
  const most = useCatalogue().data?.promptCharactersMax ?? CHARACTERS_MAX
  const count = [...node.text].length
  return (
    <>
      <Textarea
        aria-label={editor.kinds.prompt}
        rows={5}
        value={node.text}
        placeholder={editor.promptPlaceholder}
        className="nodrag nowheel field-sizing-content max-h-72 min-h-28 leading-5"
        onChange={(event) => {
          const text = event.target.value
          change((graph) => changeNode<'prompt'>(graph, node.id, { text }), `text ${node.id}`)
        }}
      />
      {count > most * NEAR_END && (
        <p className={classes('mt-1 text-xs', count > most ? 'text-bad' : 'text-faint')}>
          {editor.characters(format.number(count), format.number(most))}
        </p>
      )}
    </>
  )
})
