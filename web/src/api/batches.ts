/** Batches: many pictures of one prompt. */
import { keepPreviousData, useInfiniteQuery, useQuery } from '@tanstack/react-query'
import { theClient } from './client'
import { keys } from './keys'
import { useLiveRows } from './live-rows'
import { dataOf } from './refusal'
import { type Batch, type Generation, isUnderWay } from './rows'
import { theUserId } from './session'

const LISTED_MAX = 200
const OLDER_AT_ONCE = 100
export const BATCH_PICTURES_MAX = 40
export const STRIP_PICTURES = 3
const STRIPS_MAX = 50

/** The user's batches, newest first, as they change. */
export function useBatches() {
  return useLiveRows<Batch>({
    key: keys.batches,
    subject: { table: 'batches', column: 'user_id', value: theUserId() },
    rowsMax: LISTED_MAX,
    isOpen: isUnderWay,
  })
}

/** Those before the ones that are listed, a page at a time, once they are asked for. */
export function useOlderBatches(listed: readonly Batch[]) {
  const isMore = listed.length >= LISTED_MAX
  const first = isMore ? (listed.at(-1)?.id ?? 0) : 0
  const pages = useInfiniteQuery({
    queryKey: [...keys.batches, 'older', first],
    enabled: false,
    initialPageParam: first,
    queryFn: ({ pageParam }) =>
      dataOf<Batch[]>(
        theClient()
          .from('batches')
          .select('*')
          .lt('id', pageParam)
          .order('id', { ascending: false })
          .limit(OLDER_AT_ONCE),
      ),
    getNextPageParam: (page) => (page.length < OLDER_AT_ONCE ? undefined : page.at(-1)?.id),
  })
  return {
    rows: pages.data?.pages.flat() ?? [],
    isMore: isMore && (pages.data === undefined || pages.hasNextPage),
    isReading: pages.isFetching,
    error: pages.error,
    read: () => void pages.fetchNextPage(),
  }
}

/** One of them; null where there is none. */
export function useBatch(id: number) {
  const { rows, isPending, error, repair } = useBatches()
  const listed = rows.find((batch) => batch.id === id)
  // Older than everything that is listed, or nobody's.
  const single = useQuery({
    queryKey: keys.batch(id),
    enabled: !isPending && !listed && Number.isSafeInteger(id),
    queryFn: () =>
      dataOf<Batch | null>(theClient().from('batches').select('*').eq('id', id).maybeSingle()),
  })
  const batch = listed ?? (Number.isSafeInteger(id) || isPending ? single.data : null)
  const again = () => {
    void repair()
    if (single.error) void single.refetch()
  }
  return { batch, isPending: batch === undefined, error: error ?? single.error, again }
}

export interface BatchRequest {
  prompt: string
  totalImages: number
  model?: string
  aspectRatio?: string
  imageSize?: string
  identityId?: string
  /** Each `bucket/path`. */
  referenceImageUrls?: string[]
}

export interface BatchAccepted {
  batchId: number
  jobId: string
  creditsHeld: number
  creditsRemaining: number
  warnings?: string[]
}

/** Asks for a batch. However often it is asked with the same `key`, it is one. */
export const generateBatch = (request: BatchRequest, key: string) =>
  dataOf<BatchAccepted>(
    theClient().functions.invoke('generate-images', {
      body: request,
      headers: { 'Idempotency-Key': key },
    }),
  )

/** A few pictures of each of some batches, by batch; read anew when `made` changes. */
export function useBatchStrips(ids: readonly number[], made: number) {
  const some = ids.slice(0, STRIPS_MAX)
  return useQuery({
    queryKey: [...keys.batches, 'strips', some, made],
    enabled: some.length > 0,
    placeholderData: keepPreviousData,
    queryFn: async () => {
      const rows = await dataOf<(Generation & { batch_id: number })[]>(
        theClient()
          .from('generations')
          .select('*')
          .in('batch_id', some)
          .eq('status', 'completed')
          .lt('position', STRIP_PICTURES)
          .order('position'),
      )
      return new Map(some.map((id) => [id, rows.filter(({ batch_id }) => batch_id === id)]))
    },
  }).data
}
