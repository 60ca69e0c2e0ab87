import type { NodeProps } from '@xyflow/react'
import { ImageOff, ImagePlus, Images, X } from 'lucide-react'
import { type DragEvent, memo, useRef, useState } from 'react'
import { useShallow } from 'zustand/react/shallow'
import { PICTURE_KINDS, useSigned } from '@/api/pictures'
import { changeNode, type ReferencesNode as Data, type Picture } from '@/graph'
import { classes } from '@/ui/classes'
import { Skeleton } from '@/ui/states'
import { useFormat, useWords } from '@/words'
import { type FlowNode, type Uploading, useEditor } from '../store'
import { useUploads } from '../use-uploads'
import { NodeFrame, sameNode } from './node-frame'

const THUMBNAIL_PIXELS = 256

type Props = NodeProps<FlowNode>

export const ReferencesNode = memo(function ReferencesNode({ data }: Props) {
  return (
    <NodeFrame kind="references" icon={Images} takes={null} width={288}>
      <References node={data.node as Data} />
    </NodeFrame>
  )
}, sameNode)

const References = memo(function References({ node }: { node: Data }) {
  const { editor } = useWords()
  const change = useEditor((state) => state.change)
  const uploads = useEditor(
    useShallow((state) => state.uploads.filter((upload) => upload.nodeId === node.id)),
  )
  const upload = useUploads()
  const chooser = useRef<HTMLInputElement>(null)
  const [isOver, setOver] = useState(false)
  const isEmpty = node.pictures.length + uploads.length === 0

  function drop(event: DragEvent) {
    event.preventDefault()
    event.stopPropagation()
    setOver(false)
    upload(() => node.id, [...event.dataTransfer.files])
  }

  function without(picture: Picture) {
    const pictures = node.pictures.filter((one) => one !== picture)
    change((graph) => changeNode<'references'>(graph, node.id, { pictures }))
  }

  return (
    <>
      {/* biome-ignore lint/a11y/noStaticElementInteractions: a second way; the button is the first */}
      <div
        onDragOver={(event) => {
          event.preventDefault()
          setOver(true)
        }}
        onDragLeave={() => setOver(false)}
        onDrop={drop}
        className="nodrag grid grid-cols-3 gap-1.5"
      >
        {node.pictures.map((picture) => (
          <Reference
            key={`${picture.bucket}/${picture.path}`}
            picture={picture}
            onRemove={() => without(picture)}
          />
        ))}
        {uploads.map((one) => (
          <Pending key={one.id} upload={one} />
        ))}
        <button
          type="button"
          onClick={() => chooser.current?.click()}
          className={classes(
            'flex flex-col items-center justify-center gap-1.5 rounded-md border border-dashed px-2',
            'text-xs transition-colors hover:border-accent hover:text-ink',
            isOver ? 'border-accent bg-accent-soft text-ink' : 'border-edge text-quiet',
            isEmpty ? 'col-span-3 h-28' : 'aspect-square',
          )}
        >
          <ImagePlus aria-hidden className="size-5" strokeWidth={1.5} />
          {isEmpty ? editor.dropHere : <span className="sr-only">{editor.choosePictures}</span>}
        </button>
      </div>
      <input
        ref={chooser}
        type="file"
        multiple
        hidden
        aria-label={editor.choosePictures}
        accept={PICTURE_KINDS.join(',')}
        onChange={(event) => {
          upload(() => node.id, [...(event.target.files ?? [])])
          event.target.value = ''
        }}
      />
    </>
  )
})

function Reference({ picture, onRemove }: { picture: Picture; onRemove: () => void }) {
  const { editor } = useWords()
  const signed = useSigned(picture, THUMBNAIL_PIXELS)
  return (
    <div className="group relative aspect-square overflow-hidden rounded-md bg-raised">
      {signed.data ? (
        <img src={signed.data} alt="" draggable={false} className="size-full object-cover" />
      ) : signed.error ? (
        <span
          role="img"
          aria-label={editor.pictureMissing}
          className="flex size-full items-center justify-center text-faint"
        >
          <ImageOff aria-hidden className="size-5" strokeWidth={1.5} />
        </span>
      ) : (
        <Skeleton className="size-full" />
      )}
      <button
        type="button"
        aria-label={editor.removePicture}
        onClick={onRemove}
        className="absolute top-1 right-1 flex size-6 items-center justify-center rounded-full bg-black/65 text-white opacity-0 transition-opacity group-hover:opacity-100 focus-visible:opacity-100"
      >
        <X aria-hidden className="size-3.5" />
      </button>
    </div>
  )
}

function Pending({ upload }: { upload: Uploading }) {
  const { editor } = useWords()
  const format = useFormat()
  return (
    <div
      role="status"
      aria-label={editor.uploading(format.percent(upload.part))}
      className="relative aspect-square overflow-hidden rounded-md bg-raised"
    >
      <img src={upload.preview} alt="" className="size-full object-cover opacity-45" />
      <span
        className="absolute inset-x-0 bottom-0 h-1 origin-left bg-accent transition-transform"
        style={{ transform: `scaleX(${upload.part})` }}
      />
    </div>
  )
}
