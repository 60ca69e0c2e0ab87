import { useReactFlow } from '@xyflow/react'
import { cache } from '@/api/cache'
import type { Catalogue } from '@/api/catalogue'
import { type GenerateRequest, generate, requestOf, type Waiting } from '@/api/jobs'
import { keys } from '@/api/keys'
import { type Refusal, refusalOf } from '@/api/refusal'
import type { Job } from '@/api/rows'
import {
  addNodes,
  changeNode,
  connect,
  type Graph,
  newNode,
  nodeById,
  recipeOf,
  type SettingsNode,
  sourcesOf,
  targetsOf,
} from '@/graph'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { offerOf } from './price'
import { type EditorState, type EditorStore, useEditorStore } from './store'

const OUTPUT_DISTANCE = 352
const OUTPUT_SIZE = { width: 384, height: 460 }
const MARGIN = 24

/** Runs a settings node: what it asks for becomes a job, shown in its output from this moment. */
export function useRun(): (settingsId: string) => void {
  const store = useEditorStore()
  const send = useSend()
  const bring = useBring()
  const { editor } = useWords()
  return (settingsId) => {
    const { history, uploads, identities } = store.getState()
    const node = nodeById(history.present, settingsId)
    const catalogue = cache.getQueryData<Catalogue>(keys.models)
    if (node?.kind !== 'settings' || !catalogue) return
    const waits = sourcesOf(history.present, node.id).some((source) =>
      uploads.some((upload) => upload.nodeId === source.id),
    )
    const model = catalogue.models.find(({ id }) => id === node.model) ?? catalogue.models[0]
    if (waits || !model) {
      toast.error(editor.problems[waits ? 'uploads_pending' : 'models_missing'])
      return
    }
    const recipe = recipeOf(
      history.present,
      node,
      { ...model, promptCharactersMax: catalogue.promptCharactersMax },
      (outputId) => picturesOf(store.getState(), outputId),
    )
    if (typeof recipe === 'string') {
      toast.error(editor.problems[recipe])
      return
    }
    const offer = offerOf(node, catalogue, identities, recipe.imageUrls?.length ?? 0)
    // A worker's pictures have the size of what it has learned.
    if (offer?.by === 'worker') recipe.imageSize = undefined
    const outputId = outputOf(store, node)
    bring(outputId)
    send(recipe, outputId, offer && offer.each * recipe.quantity)
  }
}

/** Asks once more for what a job did not make. */
export function useRunAgain(): (job: Job, outputId: string) => void {
  const send = useSend()
  const store = useEditorStore()
  return (job, outputId) => {
    const request = requestOf(job)
    const catalogue = cache.getQueryData<Catalogue>(keys.models)
    const { model = null, imageSize = null, identityId = null } = request
    const asked = { model, imageSize, identityId }
    const { identities } = store.getState()
    const references = request.imageUrls?.length ?? 0
    const offer = catalogue ? offerOf(asked, catalogue, identities, references) : null
    send(request, outputId, offer && offer.each * request.quantity)
  }
}

function useSend() {
  const store = useEditorStore()
  const { editor } = useWords()
  const format = useFormat()

  function explain(refusal: Refusal): string {
    if (refusal.code === 'insufficient_credits') {
      const { required, available } = refusal.details
      return editor.noCredits(format.number(Number(required)), format.number(Number(available)))
    }
    return [refusal.message, refusal.hint].filter(Boolean).join(' ')
  }

  return async (asked: GenerateRequest, outputId: string, credits: number | null) => {
    const { projectId } = store.getState()
    const key = crypto.randomUUID()
    const stop = new AbortController()
    const { quantity, aspectRatio = null } = asked
    const giveUp = () => stop.abort()
    const sending = { key, outputId, quantity, aspectRatio, waits: null, giveUp }
    store.setState(({ sendings }) => ({ sendings: [...sendings, sending] }))
    const tell = (held: number | null) =>
      toast(editor.started, {
        id: key,
        description:
          held === null ? editor.startedPictures(quantity) : editor.startedAbout(quantity, held),
      })
    tell(credits)
    try {
      let hasWaited = false
      const onResend = (waits: Waiting) => {
        if (!hasWaited)
          toast(waits === 'offline' ? editor.resending : editor.resendingBusy, {
            id: key,
            description: null,
          })
        hasWaited = true
        store.setState(({ sendings }) => ({
          sendings: sendings.map((one) => (one.key === key ? { ...one, waits } : one)),
        }))
      }
      const accepted = await generate({ ...asked, projectId }, key, onResend, stop.signal)
      attach(store, outputId, accepted.jobId)
      // A worker that came or went has changed who makes the pictures, and so the price.
      if (hasWaited || accepted.creditsHeld !== credits) tell(accepted.creditsHeld)
      for (const warning of accepted.warnings ?? []) toast.warning(warning)
    } catch (error) {
      const refusal = await refusalOf(error)
      if (refusal.code === 'given_up')
        toast(editor.givenUp, { id: key, description: editor.givenUpAbout })
      else toast.error(editor.refused, { id: key, description: explain(refusal) })
    } finally {
      store.setState(({ sendings }) => ({ sendings: sendings.filter((one) => one.key !== key) }))
    }
  }
}

/** Lets an output show a job. It is no edit: undo does not take it back. */
function attach(store: EditorStore, outputId: string, jobId: string): void {
  const { history, take, saveNow } = store.getState()
  const node = nodeById(history.present, outputId)
  if (node?.kind !== 'output' || node.jobIds.includes(jobId)) return
  take(changeNode<'output'>(history.present, outputId, { jobIds: [...node.jobIds, jobId] }))
  saveNow()
}

/** Moves the view so far that a node is in sight, once it is drawn. */
function useBring() {
  const flow = useReactFlow()
  return (id: string) =>
    requestAnimationFrame(() => {
      const pane = document.querySelector('.react-flow')?.getBoundingClientRect()
      const node = flow.getNode(id)
      if (!pane || !node) return
      const corner = flow.flowToScreenPosition({
        x: node.position.x + (node.measured?.width ?? OUTPUT_SIZE.width),
        y: node.position.y + (node.measured?.height ?? OUTPUT_SIZE.height),
      })
      const [right, below] = [corner.x + MARGIN - pane.right, corner.y + MARGIN - pane.bottom]
      if (right <= 0 && below <= 0) return
      const { x, y, zoom } = flow.getViewport()
      const moved = { x: x - Math.max(0, right), y: y - Math.max(0, below), zoom }
      void flow.setViewport(moved, { duration: 250 })
    })
}

/** The output that a settings node runs into, made beside it if there is none. */
function outputOf(store: EditorStore, node: SettingsNode): string {
  const { history, change } = store.getState()
  const there = targetsOf(history.present, node.id)[0]
  if (there) return there.id
  const output = newNode('output', node.x + OUTPUT_DISTANCE, node.y)
  change((graph) => connect(addNodes(graph, [output]), node.id, output.id) as Graph)
  return output.id
}

/** How many pictures lead into a settings node. */
export function referenceCountOf(state: EditorState, settingsId: string): number {
  const counts = sourcesOf(state.history.present, settingsId).map((source) => {
    if (source.kind === 'references') return source.pictures.length
    return source.kind === 'output' ? picturesOf(state, source.id).length : 0
  })
  return counts.reduce((sum, count) => sum + count, 0)
}

/** The pictures of an output's latest job that has any. */
function picturesOf({ runs }: EditorState, outputId: string) {
  const run = runs.get(outputId)?.find(({ pictures }) => pictures.length > 0)
  return (run?.pictures ?? []).flatMap(({ bucket, path }) =>
    bucket && path ? [{ bucket, path }] : [],
  )
}
