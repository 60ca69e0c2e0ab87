/** Projects: a name and a canvas. A save tells which version it is of, so that none is lost. */
import { useMutation, useQuery } from '@tanstack/react-query'
import { useEffect } from 'react'
import { watch } from '@/realtime'
import { cache } from './cache'
import { theClient } from './client'
import { keys } from './keys'
import { dataOf, Refusal } from './refusal'
import type { Project } from './rows'
import { theUserId } from './session'

const LISTED_MAX = 200
const LAST = 'tintype.project'

export type ProjectLine = Omit<Project, 'canvas_state' | 'user_id'>

const table = () => theClient().from('projects')

export function useProjects() {
  return useQuery({
    queryKey: keys.projects,
    queryFn: () =>
      dataOf<ProjectLine[]>(
        table()
          .select('id, name, created_at, updated_at')
          .order('updated_at', { ascending: false })
          .limit(LISTED_MAX),
      ),
  })
}

/** Null when it is gone or somebody else's. */
export async function readProject(id: string): Promise<Project | null> {
  return dataOf<Project | null>(table().select('*').eq('id', id).maybeSingle())
}

/** The project to begin with: the last one of this browser, else the newest, else a new one. */
export async function projectToOpen(name: string): Promise<string> {
  const last = localStorage.getItem(LAST)
  if (last) {
    const found = await dataOf<{ id: string } | null>(
      table().select('id').eq('id', last).maybeSingle(),
    )
    if (found) return found.id
  }
  const newest = await dataOf<{ id: string }[]>(
    table().select('id').order('updated_at', { ascending: false }).limit(1),
  )
  return newest[0]?.id ?? (await createProject(name)).id
}

export const rememberProject = (id: string) => localStorage.setItem(LAST, id)

export async function createProject(name: string): Promise<Project> {
  const row = { name, user_id: theUserId() }
  const project = await dataOf<Project>(table().insert(row).select('*').single())
  void cache.invalidateQueries({ queryKey: keys.projects })
  return project
}

/**
 * Writes the canvas if the row is still of the version `of`, and returns the new version; null when
 * another tab was faster, and nothing was written.
 */
export async function saveCanvas(id: string, canvas: unknown, of: string): Promise<string | null> {
  // 'now' is the server's time, to the microsecond: no two versions have the same.
  const rows = await dataOf<{ updated_at: string }[]>(
    table()
      .update({ canvas_state: canvas, updated_at: 'now' })
      .eq('id', id)
      .eq('updated_at', of)
      .select('updated_at'),
  )
  if (rows[0]) return rows[0].updated_at
  if (!(await readProject(id))) throw new Refusal('project_missing', 'The project is gone.', 404)
  return null
}

export function useRenameProject() {
  return useMutation({
    mutationFn: ({ id, name }: { id: string; name: string }) =>
      dataOf(table().update({ name }).eq('id', id)),
    onSuccess: () => cache.invalidateQueries({ queryKey: keys.projects }),
  })
}

export function useRemoveProject() {
  return useMutation({
    mutationFn: (id: string) => dataOf(table().delete().eq('id', id)),
    onSuccess: () => cache.invalidateQueries({ queryKey: keys.projects }),
  })
}

/** Calls `onChange` with each new version of the project, this tab's own included. */
export function useProjectChanges(
  id: string,
  onChange: (version: string, name: string) => void,
  onGone: () => void,
) {
  useEffect(
    () =>
      watch(
        theClient(),
        { table: 'projects', column: 'id', value: id },
        {
          onRow: (row) => onChange(String(row.updated_at), String(row.name)),
          onGone: (old) => old.id === id && onGone(),
          onLive: () => onChange('', ''),
          onAway: () => {},
        },
      ),
    [id, onChange, onGone],
  )
}
