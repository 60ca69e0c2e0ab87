import { useNavigate } from '@tanstack/react-router'
import { ChevronDown, FilePlus2, Pencil, Trash2 } from 'lucide-react'
import { lazy, Suspense, useState } from 'react'
import { createProject, useProjects } from '@/api/projects'
import { refusalOf } from '@/api/refusal'
import { Button } from '@/ui/button'
import { Menu, MenuItem, MenuLabel, MenuLine } from '@/ui/menu'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { useEditor } from './store'

const LISTED_MAX = 12

const ProjectDialogs = lazy(() => import('./project-dialogs'))

/** The open project's name, and the way to the others. */
export function ProjectMenu({ name }: { name: string }) {
  const { editor } = useWords()
  const format = useFormat()
  const projectId = useEditor((state) => state.projectId)
  const projects = useProjects().data ?? []
  const navigate = useNavigate()
  const [asks, setAsks] = useState<'rename' | 'remove' | null>(null)
  const go = (id: string) => void navigate({ to: '/p/$projectId', params: { projectId: id } })

  async function begin() {
    try {
      go((await createProject(editor.untitled)).id)
    } catch (error) {
      toast.error((await refusalOf(error)).message)
    }
  }

  return (
    <>
      <Menu
        trigger={
          <Button
            look="quiet"
            aria-label={`${editor.project}: ${name}`}
            className="max-w-64 shrink"
          >
            <span className="truncate font-semibold text-ink">{name}</span>
            <ChevronDown aria-hidden className="size-4 shrink-0" strokeWidth={1.75} />
          </Button>
        }
      >
        <MenuItem icon={FilePlus2} onSelect={() => void begin()}>
          {editor.newProject}
        </MenuItem>
        <MenuItem icon={Pencil} onSelect={() => setAsks('rename')}>
          {editor.renameProject}
        </MenuItem>
        <MenuItem icon={Trash2} danger onSelect={() => setAsks('remove')}>
          {editor.deleteProject}
        </MenuItem>
        <MenuLine />
        <MenuLabel>{editor.projects}</MenuLabel>
        {projects.slice(0, LISTED_MAX).map((project) => (
          <MenuItem
            key={project.id}
            chosen={project.id === projectId}
            onSelect={() => go(project.id)}
          >
            {project.name}
            <span className="block text-xs text-faint">{format.since(project.updated_at)}</span>
          </MenuItem>
        ))}
      </Menu>
      <Suspense>
        {asks && <ProjectDialogs asks={asks} name={name} onClose={() => setAsks(null)} />}
      </Suspense>
    </>
  )
}
