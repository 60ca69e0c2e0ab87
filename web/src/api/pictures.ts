/** Bytes of pictures: where the browser finds them, and how it sends its own. */
import { useQuery } from '@tanstack/react-query'
import { theClient, theServer } from './client'
import { keys } from './keys'
import { dataOf, Refusal } from './refusal'
import { accessToken, theUserId } from './session'

export const PICTURE_KINDS = ['image/png', 'image/jpeg', 'image/webp', 'image/gif', 'image/avif']
export const PICTURE_BYTES_MAX = 20 * 1024 * 1024
const UPLOADS = 'uploads'
const CHUNK_BYTES = 6 * 1024 * 1024
const SIGNED_SECONDS = 3600
const SAVED_MS = 60_000
const RETRY_MS = [0, 1000, 3000, 5000, 10_000, 10_000, 15_000, 15_000]

/** An object of the server. */
export interface Stored {
  bucket: string
  path: string
}

/** The object behind a URL of the server that needs its owner's token; null for any other URL. */
export function storedOf(url: string | null): Stored | null {
  const [, bucket, path] = /\/object\/authenticated\/([^/]+)\/([^?]+)/.exec(url ?? '') ?? []
  return bucket && path ? { bucket, path: decodeURIComponent(path) } : null
}

/** A URL that shows an object of a private bucket to whoever may read it, `width` pixels wide. */
export function useSigned({ bucket, path }: Stored, width: number, enabled = true) {
  return useQuery({
    queryKey: keys.signed(`${bucket}/${path}`, width),
    enabled,
    // A new one well before the old one ends.
    staleTime: (SIGNED_SECONDS / 2) * 1000,
    queryFn: async () => {
      const transform = { width, height: width, resize: 'contain' as const }
      const asked = theClient().storage.from(bucket)
      const signed = await dataOf<{ signedUrl: string }>(
        asked.createSignedUrl(path, SIGNED_SECONDS, { transform }),
      )
      return signed.signedUrl
    },
  })
}

/** Saves a picture under a name, whichever origin it is of. */
export async function download(url: string, name: string): Promise<void> {
  const answer = await fetch(url).catch((error: unknown) => {
    throw new Refusal('offline', String(error))
  })
  if (!answer.ok) throw new Refusal('download_failed', answer.statusText, answer.status)
  keep(await answer.blob(), name)
}

/** Saves bytes under a name. */
export function keep(blob: Blob, name: string): void {
  const link = document.createElement('a')
  link.href = URL.createObjectURL(blob)
  link.download = name
  link.click()
  // Some browsers begin to read it only after this.
  setTimeout(() => URL.revokeObjectURL(link.href), SAVED_MS)
}

/** Whether the server takes such a file as a picture. */
export const isPicture = ({ type, size }: File): boolean =>
  PICTURE_KINDS.includes(type) && size <= PICTURE_BYTES_MAX

/**
 * Sends a picture to the user's own folder, in pieces that survive a lost connection, and returns
 * where it lies. `onProgress` gets 0 … 1. Throws a Refusal, `picture_kind` or `picture_large` for
 * what the server would not take.
 */
export async function uploadPicture(
  file: File,
  onProgress: (part: number) => void,
): Promise<Stored> {
  if (!PICTURE_KINDS.includes(file.type)) throw new Refusal('picture_kind', file.type)
  if (file.size > PICTURE_BYTES_MAX) throw new Refusal('picture_large', String(file.size))
  const { Upload } = await import('tus-js-client')
  const extension = file.type.replace('image/', '').replace('jpeg', 'jpg')
  const path = `${theUserId()}/canvas/${crypto.randomUUID()}.${extension}`
  let token = await accessToken()
  await new Promise<void>((resolve, reject) => {
    const goOn = async () => {
      await untilOnline()
      // The session may have been renewed meanwhile.
      token = await accessToken()
      upload.start()
    }
    const upload = new Upload(file, {
      endpoint: `${theServer().url}/storage/v1/upload/resumable`,
      headers: { apikey: theServer().anonKey },
      onBeforeRequest: (request) => request.setHeader('authorization', `Bearer ${token}`),
      metadata: { bucketName: UPLOADS, objectName: path, contentType: file.type },
      chunkSize: CHUNK_BYTES,
      retryDelays: RETRY_MS,
      uploadDataDuringCreation: true,
      removeFingerprintOnSuccess: true,
      storeFingerprintForResuming: false,
      onProgress: (sent, whole) => onProgress(whole ? sent / whole : 0),
      onError: (error) => {
        const isCutOff = 'originalRequest' in error && !error.originalResponse
        if (isCutOff && !navigator.onLine) void goOn()
        else reject(new Refusal('upload_failed', error.message))
      },
      onSuccess: () => resolve(),
    })
    upload.start()
  })
  return { bucket: UPLOADS, path }
}

function untilOnline(): Promise<void> {
  if (navigator.onLine) return Promise.resolve()
  return new Promise((resolve) => {
    window.addEventListener('online', () => resolve(), { once: true })
  })
}
