import { useQuery } from '@tanstack/react-query'
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router'
import { ReactFlowProvider } from '@xyflow/react'
import { FileQuestion } from 'lucide-react'
import { lazy, Suspense, useCallback, useEffect, useMemo, useState } from 'react'
import { cache } from '@/api/cache'
import { readPicture } from '@/api/generations'
import { readProject, rememberProject, saveCanvas, useProjectChanges } from '@/api/projects'
import type { Project } from '@/api/rows'
import { addNodes, changeNode, newNode, read } from '@/graph'
import { Button } from '@/ui/button'
import { Empty, Failed, Skeleton } from '@/ui/states'
import { useTitle } from '@/ui/title'
import { toast } from '@/ui/toast'
import { useWords, wordsNow } from '@/words'
import { Canvas } from './canvas'
import { CanvasSync, opened } from './canvas-sync'
import { draftsOf, readDraft } from './drafts'
import { Start } from './start'
import { createEditor, EditorContext, type EditorStore, useEditor, useEditorStore } from './store'
import { Toolbar } from './toolbar'
import { useCommands } from './use-commands'
import { useKeys } from './use-keys'
import { useRunsFeed } from './use-runs-feed'

const KeysDialog = lazy(() => import('./keys-dialog'))
const IdentityFeed = lazy(() => import('./identity-feed'))
const TemplatesDialog = lazy(() => import('./templates-dialog'))

const canvasKey = (projectId: string) => ['canvas', projectId] as const

/** One project's canvas. */
export function EditorScreen() {
  const { editor, shell } = useWords()
  const { projectId } = useParams({ from: '/signed-in/p/$projectId' })
  const project = useQuery({
    queryKey: canvasKey(projectId),
    queryFn: () => readProject(projectId),
    // What is open is kept up to date by its sync; each opening reads anew.
    gcTime: 0,
    staleTime: Number.POSITIVE_INFINITY,
    refetchOnMount: 'always',
  })
  if (project.error && !project.data)
    return (
      <Failed
        title={shell.failed}
        reason={project.error.message}
        action={<Button onClick={() => void project.refetch()}>{shell.retry}</Button>}
      />
    )
  if (project.isPending) return <Skeleton className="m-4 h-[calc(100%-32px)]" />
  if (!project.data)
    return (
      <Empty
        icon={FileQuestion}
        title={editor.projectMissing}
        about={editor.projectMissingAbout}
        action={
          <Link to="/" className="font-medium text-accent underline underline-offset-4">
            {shell.toEditor}
          </Link>
        }
      />
    )
  return (
    <ReactFlowProvider key={projectId}>
      <Opened project={project.data} />
    </ReactFlowProvider>
  )
}

function Opened({ project }: { project: Project }) {
  const [store] = useState(() => {
    const stored = { graph: read(project.canvas_state), updatedAt: project.updated_at }
    return createEditor(project.id, opened(stored, readDraft(project.id)))
  })
  const [name, setName] = useState(project.name)
  useEffect(() => rememberProject(project.id), [project.id])
  useCanvasSync(store, project, setName)
  return (
    <EditorContext value={store}>
      <Workplace name={name} />
    </EditorContext>
  )
}

function Workplace({ name }: { name: string }) {
  const [dialog, setDialog] = useState<'templates' | 'keys' | null>(null)
  const commands = useCommands()
  const help = useCallback(() => setDialog('keys'), [])
  const close = useCallback(() => setDialog(null), [])
  useTitle(name)
  useKeys(commands, help)
  const { isLive } = useRunsFeed()
  useArrivals()
  useLeaving()
  // It is needed at the first run, and then there may be no network.
  useEffect(() => void import('./nodes/run-view'), [])
  const wantsIdentities = useEditor(
    ({ history, wantsIdentities }) =>
      wantsIdentities ||
      history.present.nodes.some((node) => node.kind === 'settings' && node.identityId !== null),
  )
  return (
    <div className="flex h-full flex-col">
      <h1 className="sr-only">{name}</h1>
      <Toolbar
        name={name}
        commands={commands}
        isLive={isLive}
        onTemplates={() => setDialog('templates')}
        onHelp={help}
      />
      <div className="relative min-h-0 flex-1">
        <Canvas commands={commands} />
        <Start commands={commands} onTemplates={() => setDialog('templates')} />
      </div>
      <Suspense>
        {wantsIdentities && <IdentityFeed />}
        {dialog === 'templates' && <TemplatesDialog onClose={close} commands={commands} />}
        {dialog === 'keys' && <KeysDialog onClose={close} />}
      </Suspense>
    </div>
  )
}

/** Keeps the canvas and its row the same, whoever changes either. */
function useCanvasSync(store: EditorStore, project: Project, setName: (name: string) => void) {
  const sync = useMemo(() => {
    const { id } = project
    const door = {
      read: async () => {
        const row = await readProject(id)
        if (!row) cache.setQueryData(canvasKey(id), null)
        return row && { graph: read(row.canvas_state), updatedAt: row.updated_at }
      },
      save: (canvas: unknown, of: string) => saveCanvas(id, canvas, of),
    }
    const holder = {
      graph: () => store.getState().history.present,
      take: store.getState().take,
      tell: (saving: 'saved' | 'dirty' | 'saving' | 'failed') => store.setState({ saving }),
      united: () => void toast(wordsNow().editor.merged),
    }
    const stored = { graph: read(project.canvas_state), updatedAt: project.updated_at }
    return new CanvasSync(door, holder, draftsOf(id), stored)
  }, [store, project])

  useEffect(() => {
    store.setState({ saveNow: () => void sync.flush() })
    const unsubscribe = store.subscribe((state, before) => {
      if (state.history.present !== before.history.present) sync.touch()
    })
    const flush = () => void sync.flush()
    const leave = () => document.visibilityState === 'hidden' && flush()
    window.addEventListener('online', flush)
    document.addEventListener('visibilitychange', leave)
    return () => {
      unsubscribe()
      window.removeEventListener('online', flush)
      document.removeEventListener('visibilitychange', leave)
      flush()
    }
  }, [store, sync])

  const onChange = useCallback(
    (updatedAt: string, name: string) => {
      if (name) setName(name)
      void sync.noticed(updatedAt)
    },
    [sync, setName],
  )
  const onGone = useCallback(() => cache.setQueryData(canvasKey(project.id), null), [project.id])
  useProjectChanges(project.id, onChange, onGone)
}

/** Lets nobody close the page by mistake while something is on its way that would be lost. */
function useLeaving() {
  const isBusy = useEditor(({ uploads, sendings }) => uploads.length + sendings.length > 0)
  useEffect(() => {
    if (!isBusy) return
    const ask = (event: BeforeUnloadEvent) => event.preventDefault()
    window.addEventListener('beforeunload', ask)
    return () => window.removeEventListener('beforeunload', ask)
  }, [isBusy])
}

/** Takes in what another screen sent along: a picture to go by, an identity to generate with. */
function useArrivals() {
  const { use, identity } = useSearch({ from: '/signed-in/p/$projectId' })
  const navigate = useNavigate()
  const store = useEditorStore()
  useEffect(() => {
    if (!use && !identity) return
    void navigate({ to: '.', search: {}, replace: true })
    if (identity) generateWith(store, identity)
    if (use) void goBy(store, use)
  }, [use, identity, navigate, store])
}

async function goBy(store: EditorStore, pictureId: string): Promise<void> {
  const picture = await readPicture(pictureId)
  if (!picture?.bucket || !picture.path) return
  const { change, history } = store.getState()
  const bottom = Math.max(0, ...history.present.nodes.map((node) => node.y + 320))
  const stored = { bucket: picture.bucket, path: picture.path }
  const node = { ...newNode('references', 0, bottom), pictures: [stored] }
  change((graph) => addNodes(graph, [node]))
  store.getState().select(new Set([node.id]))
}

function generateWith(store: EditorStore, identityId: string): void {
  const { change, history } = store.getState()
  const settings = history.present.nodes.find((node) => node.kind === 'settings')
  if (settings) change((graph) => changeNode<'settings'>(graph, settings.id, { identityId }))
  else change((graph) => addNodes(graph, [{ ...newNode('settings', 0, 0), identityId }]))
}
