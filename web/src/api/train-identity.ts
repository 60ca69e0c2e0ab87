/**
 * How do up to 40 photos reach the server inside one JSON?
 *
 * Each is read in pieces, and each piece becomes base64 in a Blob of its own: the browser keeps
 * those where it likes, and never is a whole photo, let alone the whole request, one string.
 */
import { theServer } from './client'
import { Refusal, refusalOf } from './refusal'
import { accessToken, theUserId } from './session'

// Divisible by 3, so that the pieces' base64 is that of the whole.
export const PIECE_BYTES = 3 * 1024 * 1024
const SENDS_MAX = 5
const SEND_AGAIN_MS = 3_000

export interface TrainIdentityRequest {
  identityName: string
  photos: readonly File[]
  /** The sentence that was agreed to. */
  consentText: string
  steps?: number
  baseModel?: string
}

export interface TrainIdentityAnswer {
  identityId: string
  jobId: string
  status: 'training' | 'publishing'
  creditsHeld: number
  creditsRemaining: number
}

export interface Sending {
  /** What goes on: photos are read, the request is sent, the server looks at it; or no network. */
  stage: 'reading' | 'sending' | 'checking' | 'waiting'
  /** 0 … 1 of the stage. */
  part: number
}

/**
 * Sends the photos, anew when the connection was lost; `key` makes it one training however often
 * it is sent. Throws a Refusal; for
 * what is wrong with one photo its `details.image` counts from 1, and `aborted` if `signal` was.
 */
export async function trainIdentity(
  request: TrainIdentityRequest,
  key: string,
  signal: AbortSignal,
  onSending: (sending: Sending) => void,
): Promise<TrainIdentityAnswer> {
  const { identityName, photos, consentText, steps, baseModel } = request
  const members = {
    identityName,
    userId: theUserId(),
    consent: { given: true, text: consentText },
    steps,
    baseModel,
  }
  const body = await bodyOf(members, photos, (part) => {
    if (signal.aborted) throw new Refusal('aborted', 'aborted')
    onSending({ stage: 'reading', part })
  })
  for (let turn = 1; ; turn += 1) {
    try {
      return await send(body, { key, token: await accessToken() }, signal, onSending)
    } catch (error) {
      const isLost = error instanceof Refusal && error.code === 'offline'
      if (!isLost || turn === SENDS_MAX) throw error
      onSending({ stage: 'waiting', part: 0 })
      await untilBack(signal)
    }
  }
}

/** Waits for the network, or a moment where the browser thinks that it is there. */
function untilBack(signal: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = navigator.onLine ? setTimeout(resolve, SEND_AGAIN_MS) : undefined
    window.addEventListener('online', () => resolve(), { once: true, signal })
    signal.addEventListener('abort', () => {
      clearTimeout(timer)
      reject(new Refusal('aborted', 'aborted'))
    })
  })
}

/** The JSON of the request, as a Blob of many parts. `onPart` gets 0 … 1. */
export async function bodyOf(
  members: Record<string, unknown>,
  photos: readonly File[],
  onPart: (part: number) => void,
): Promise<Blob> {
  const whole = photos.reduce((sum, photo) => sum + photo.size, 0)
  const parts: BlobPart[] = [JSON.stringify(members).slice(0, -1), ',"imageFiles":[']
  let done = 0
  for (const [place, photo] of photos.entries()) {
    parts.push(`${place ? ',' : ''}{"name":${JSON.stringify(photo.name)},"data":"`)
    for (let first = 0; first < photo.size; first += PIECE_BYTES) {
      const piece = new Uint8Array(await photo.slice(first, first + PIECE_BYTES).arrayBuffer())
      parts.push(new Blob([base64(piece)]))
      done += piece.length
      onPart(done / whole)
    }
    parts.push('"}')
  }
  parts.push(']}')
  return new Blob(parts, { type: 'application/json' })
}

const CHARACTERS_AT_ONCE = 0x6000

function base64(bytes: Uint8Array): string {
  const native = (bytes as { toBase64?: () => string }).toBase64
  if (native) return native.call(bytes)
  let told = ''
  for (let first = 0; first < bytes.length; first += CHARACTERS_AT_ONCE)
    told += btoa(String.fromCharCode(...bytes.subarray(first, first + CHARACTERS_AT_ONCE)))
  return told
}

interface Sender {
  key: string
  token: string
}

/** supabase-js tells nothing of how far an upload is; XMLHttpRequest does. */
function send(
  body: Blob,
  { key, token }: Sender,
  signal: AbortSignal,
  onSending: (sending: Sending) => void,
): Promise<TrainIdentityAnswer> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest()
    const { url, anonKey } = theServer()
    request.open('POST', `${url}/functions/v1/train-identity`)
    request.setRequestHeader('Authorization', `Bearer ${token}`)
    request.setRequestHeader('apikey', anonKey)
    request.setRequestHeader('Content-Type', 'application/json')
    request.setRequestHeader('Idempotency-Key', key)
    request.setRequestHeader('Prefer', 'respond-async')
    request.upload.onprogress = ({ loaded, total }) =>
      onSending(
        loaded < total
          ? { stage: 'sending', part: loaded / Math.max(1, total) }
          : { stage: 'checking', part: 1 },
      )
    request.onerror = () => reject(new Refusal('offline', 'The server cannot be reached.'))
    request.onabort = () => reject(new Refusal('aborted', 'aborted'))
    request.onload = () => {
      const { status, responseText } = request
      if (status >= 200 && status < 300) resolve(JSON.parse(responseText))
      else void refusalOf({ context: new Response(responseText, { status }) }).then(reject)
    }
    signal.addEventListener('abort', () => request.abort())
    if (signal.aborted) reject(new Refusal('aborted', 'aborted'))
    else request.send(body)
  })
}
