/** Under which URL does the browser show a finished picture? A private one's has to be signed. */
import { useQuery } from '@tanstack/react-query'
import { theClient } from './client'
import { dataOf } from './refusal'
import type { Generation } from './rows'

const SIGNED_SECONDS = 3600
const SIGNED_AT_ONCE_MAX = 100
const PUBLIC = '/object/public/'

interface Waiting {
  path: string
  done: (url: string | null) => void
  fail: (error: unknown) => void
}

export type Shown = Pick<Generation, 'bucket' | 'path' | 'url' | 'thumbnail_url' | 'metadata'>

/** The URL of the picture itself, or of its thumbnail; undefined while it is asked for. */
export function useShown(picture: Shown | undefined, size: 'small' | 'whole'): string | undefined {
  const told = picture && (size === 'small' ? (picture.thumbnail_url ?? picture.url) : picture.url)
  const isOpen = told?.includes(PUBLIC) ?? true
  const name = picture && !isOpen ? objectOf(picture, size) : null
  const signed = useQuery({
    queryKey: ['signed', 'object', picture?.bucket, name],
    enabled: Boolean(picture?.bucket && name),
    staleTime: (SIGNED_SECONDS / 2) * 1000,
    queryFn: () => sign(picture?.bucket ?? '', name ?? ''),
  })
  return (isOpen ? told : signed.data) ?? undefined
}

/** The same once, for what is not on the page. */
export async function shownUrl(picture: Shown): Promise<string | null> {
  if (!picture.url || picture.url.includes(PUBLIC)) return picture.url
  return picture.bucket && picture.path ? sign(picture.bucket, picture.path) : null
}

function objectOf({ path, metadata }: Shown, size: 'small' | 'whole'): string | null {
  const small = metadata.thumbnail_path
  return size === 'small' && typeof small === 'string' ? small : path
}

const waiting = new Map<string, Waiting[]>()

/** Asked for together, whatever is wanted at the same moment. */
function sign(bucket: string, path: string): Promise<string | null> {
  return new Promise((done, fail) => {
    const line = waiting.get(bucket) ?? []
    line.push({ path, done, fail })
    waiting.set(bucket, line)
    if (line.length === 1) setTimeout(() => void signAll(bucket))
  })
}

async function signAll(bucket: string): Promise<void> {
  const line = waiting.get(bucket) ?? []
  waiting.delete(bucket)
  for (let at = 0; at < line.length; at += SIGNED_AT_ONCE_MAX) {
    const some = line.slice(at, at + SIGNED_AT_ONCE_MAX)
    try {
      const answers = await dataOf<{ path: string | null; signedUrl: string | null }[]>(
        theClient()
          .storage.from(bucket)
          .createSignedUrls(
            some.map(({ path }) => path),
            SIGNED_SECONDS,
          ),
      )
      const urls = new Map(answers.map((answer) => [answer.path, answer.signedUrl]))
      for (const { path, done } of some) done(urls.get(path) ?? null)
    } catch (error) {
      for (const { fail } of some) fail(error)
    }
  }
}
