/** Generations: the pictures and videos that jobs made. */
import { theClient } from './client'
import { keys } from './keys'
import { useLiveRows } from './live-rows'
import { dataOf } from './refusal'
import type { Generation } from './rows'

const PROJECT_ROWS_MAX = 1000

const table = () => theClient().from('generations')

/** The pictures of a project, newest first, as they arrive. */
export function useProjectPictures(projectId: string) {
  return useLiveRows<Generation>({
    key: keys.projectPictures(projectId),
    subject: { table: 'generations', column: 'project_id', value: projectId },
    rowsMax: PROJECT_ROWS_MAX,
  })
}

/** The pictures of a batch, newest first, as they arrive. */
export function useBatchPictures(batchId: number) {
  return useLiveRows<Generation>({
    key: keys.batchPictures(batchId),
    subject: { table: 'generations', column: 'batch_id', value: String(batchId) },
    rowsMax: PROJECT_ROWS_MAX,
  })
}

/** Null when it is gone or somebody else's. */
export const readPicture = (id: string) =>
  dataOf<Generation | null>(table().select('*').eq('id', id).maybeSingle())
