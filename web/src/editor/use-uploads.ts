import { isPicture, uploadPicture } from '@/api/pictures'
import { refusalOf } from '@/api/refusal'
import { changeNode, nodeById } from '@/graph'
import { toast } from '@/ui/toast'
import { useWords } from '@/words'
import { type Uploading, useEditorStore } from './store'

/**
 * Sends pictures up and puts each into its references node as it has arrived. The node is asked for
 * only if there is a picture among the files; the others are named.
 */
export function useUploads(): (node: () => string, files: File[]) => void {
  const store = useEditorStore()
  const { editor } = useWords()

  async function send(nodeId: string, file: File) {
    const id = crypto.randomUUID()
    const preview = URL.createObjectURL(file)
    const upload: Uploading = { id, nodeId, name: file.name, part: 0, preview }
    store.setState(({ uploads }) => ({ uploads: [...uploads, upload] }))
    try {
      const picture = await uploadPicture(file, (part) =>
        store.setState(({ uploads }) => ({
          uploads: uploads.map((one) => (one.id === id ? { ...one, part } : one)),
        })),
      )
      store.getState().change((graph) => {
        const node = nodeById(graph, nodeId)
        if (node?.kind !== 'references') return graph
        return changeNode<'references'>(graph, nodeId, { pictures: [...node.pictures, picture] })
      })
    } catch (error) {
      tell(file, (await refusalOf(error)).message)
    } finally {
      store.setState(({ uploads }) => ({ uploads: uploads.filter((one) => one.id !== id) }))
      URL.revokeObjectURL(preview)
    }
  }

  function tell(file: File, why: string) {
    toast.error(editor.uploadFailed, { description: `${file.name}: ${why}` })
  }

  return (node, files) => {
    for (const file of files.filter((one) => !isPicture(one))) tell(file, editor.uploadKinds)
    const pictures = files.filter(isPicture)
    if (pictures.length === 0) return
    const nodeId = node()
    for (const picture of pictures) void send(nodeId, picture)
  }
}
