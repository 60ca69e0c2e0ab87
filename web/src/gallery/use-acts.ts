/** What can be done with pictures of the gallery. */
import { useNavigate } from '@tanstack/react-router'
import { useState } from 'react'
import { removePictures } from '@/api/gallery'
import { requestOf } from '@/api/jobs'
import { download } from '@/api/pictures'
import { projectToOpen, readProject, saveCanvas } from '@/api/projects'
import { referencesOf } from '@/api/recipes'
import { refusalOf } from '@/api/refusal'
import type { Generation, Job } from '@/api/rows'
import { shownUrl } from '@/api/shown'
import { read, write } from '@/graph'
import { useSentence } from '@/shell/sentence'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { fileName } from './file-name'
import { remade } from './remade'

const QUANTITY_MAX = 4
const SAVES_MAX = 3

export function useActs() {
  const { gallery, editor } = useWords()
  const format = useFormat()
  const sentence = useSentence()
  const navigate = useNavigate()
  const [busy, setBusy] = useState(false)

  /** Does it, and says why where it cannot be done. */
  async function attempt<T>(act: () => Promise<T>): Promise<T | undefined> {
    setBusy(true)
    try {
      return await act()
    } catch (error) {
      toast.error(sentence(await refusalOf(error)))
      return undefined
    } finally {
      setBusy(false)
    }
  }

  return {
    busy,
    save: (pictures: readonly Generation[]) =>
      attempt(async () => {
        for (const picture of pictures) {
          const url = await shownUrl(picture)
          if (url) await download(url, fileName(picture))
        }
      }),
    use: (picture: Generation) =>
      attempt(async () => {
        const projectId = await projectFor(picture, editor.firstProject)
        await navigate({
          to: '/p/$projectId',
          params: { projectId },
          search: { use: picture.id },
        })
      }),
    makeAgain: (picture: Generation, job: Job | null) =>
      attempt(async () => {
        const projectId = await projectFor(picture, editor.firstProject)
        await putInto(projectId, picture, job)
        toast(gallery.onTheCanvas)
        await navigate({ to: '/p/$projectId', params: { projectId } })
      }),
    /** True once they are gone. */
    remove: (pictures: readonly Generation[]) =>
      attempt(async () => {
        const kept = await removePictures(pictures.map(({ id }) => id))
        if (kept.length) toast.warning(gallery.keptUnderWay(kept.length))
        else toast.success(gallery.removed(pictures.length, format.number(pictures.length)))
        return true
      }),
  }
}

/** The picture's own project as long as there is one. */
async function projectFor(picture: Generation, name: string): Promise<string> {
  const own = picture.project_id ? await readProject(picture.project_id) : null
  return own?.id ?? projectToOpen(name)
}

async function putInto(projectId: string, picture: Generation, job: Job | null): Promise<void> {
  const request = job ? requestOf(job) : { prompt: picture.prompt ?? '', quantity: 1 }
  const again = {
    ...request,
    model: request.model ?? picture.model ?? undefined,
    quantity: Math.min(QUANTITY_MAX, job?.quantity ?? 1),
  }
  // Another tab may save in between: then its canvas is read, and added to.
  for (let turn = 1; turn <= SAVES_MAX; turn += 1) {
    const project = await readProject(projectId)
    if (!project) return
    const canvas = remade(read(project.canvas_state), again, job ? referencesOf(job) : [])
    if (await saveCanvas(projectId, write(canvas), project.updated_at)) return
  }
}
