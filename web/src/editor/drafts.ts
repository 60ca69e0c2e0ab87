/** What of a project is not saved yet, kept in this browser until it is. */
const nameOf = (projectId: string) => `tintype.draft.${projectId}`

export function readDraft(projectId: string): unknown {
  try {
    return JSON.parse(localStorage.getItem(nameOf(projectId)) ?? 'null')
  } catch {
    return null
  }
}

export function draftsOf(projectId: string) {
  return {
    put: (draft: unknown) => {
      try {
        localStorage.setItem(nameOf(projectId), JSON.stringify(draft))
      } catch {
        // The storage is full: the draft lives in this tab alone.
      }
    },
    drop: () => localStorage.removeItem(nameOf(projectId)),
  }
}
