import { useNavigate } from '@tanstack/react-router'
import { Download, ImagePlus } from 'lucide-react'
import { download } from '@/api/pictures'
import type { Generation } from '@/api/rows'
import { addNodes, newNode } from '@/graph'
import { Button } from '@/ui/button'
import { Viewer } from '@/ui/viewer'
import { useFormat, useWords } from '@/words'
import { type Run, useEditorStore } from './store'

interface PictureViewProps {
  runs: readonly Run[]
  pictureId: string
  onShow: (pictureId: string | null) => void
}

/** A picture of an output at its full size, with what it was made from. */
export default function PictureView({ runs, pictureId, onShow }: PictureViewProps) {
  const { editor, shell } = useWords()
  const format = useFormat()
  const store = useEditorStore()
  const navigate = useNavigate()
  const all = runs.flatMap(({ pictures }) => pictures)
  const at = all.findIndex(({ id }) => id === pictureId)
  const picture = all[at]
  if (!picture?.url) return null
  const step = (by: number) => {
    const other = all[at + by]
    return other ? () => onShow(other.id) : null
  }

  function use({ bucket, path }: Generation) {
    if (!bucket || !path) return
    const { change, flow, select } = store.getState()
    const bottom = Math.max(
      0,
      ...flow.map((node) => node.position.y + (node.measured?.height ?? 0)),
    )
    const node = { ...newNode('references', 0, bottom + 32), pictures: [{ bucket, path }] }
    change((graph) => addNodes(graph, [node]))
    select(new Set([node.id]))
    onShow(null)
    void navigate({ to: '.', search: {} })
  }

  const facts: [string, string | null][] = [
    [editor.madeWith, picture.model],
    [
      editor.dimensions,
      picture.width && picture.height
        ? `${format.number(picture.width)} × ${format.number(picture.height)}`
        : null,
    ],
    [editor.seed, picture.seed === null ? null : String(picture.seed)],
  ]
  return (
    <Viewer
      open
      onClose={() => onShow(null)}
      title={editor.picture((picture.position ?? 0) + 1)}
      src={picture.url}
      alt={picture.prompt ?? ''}
      labels={{ close: shell.close, previous: editor.previous, following: editor.following }}
      onPrevious={step(-1)}
      onFollowing={step(1)}
    >
      <p className="text-sm whitespace-pre-wrap">{picture.prompt}</p>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1.5 text-sm">
        {facts.map(
          ([name, value]) =>
            value && (
              <div key={name} className="contents">
                <dt className="text-faint">{name}</dt>
                <dd className="truncate text-right tabular-nums">{value}</dd>
              </div>
            ),
        )}
      </dl>
      <p className="text-xs text-faint">{format.moment(picture.created_at)}</p>
      <div className="flex flex-col gap-2">
        <Button icon={ImagePlus} onClick={() => use(picture)}>
          {editor.useAsReference}
        </Button>
        <Button
          icon={Download}
          onClick={() =>
            void download(picture.url ?? '', picture.path?.split('/').at(-1) ?? 'picture')
          }
        >
          {editor.download}
        </Button>
      </div>
    </Viewer>
  )
}
