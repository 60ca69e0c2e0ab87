/**
 * What is wrong with a photo, before it is sent?
 *
 * The limits are those of the server, which looks again: by the bytes, not by the name.
 */
export const PHOTOS_MIN = 3
export const PHOTOS_MAX = 40
export const PHOTO_BYTES_MAX = 20 * 1024 * 1024
export const SIDE_MIN = 256
export const SIDE_WANTED = 512
export const PIXELS_MAX = 50_000_000
const HEAD_BYTES = 12
const PNG = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]
const JPEG = [0xff, 0xd8, 0xff]

// A phone's own format; the box is named first, its brand after.
const HEIC = /^ftyp(heic|heix|hevc|heim|heis|mif1|msf1)/

export type Trouble = 'kind' | 'heic' | 'large' | 'small' | 'pixels' | 'unreadable' | 'refused'

export interface Photo {
  id: string
  file: File
  /** A small picture of it, once it was looked at. */
  preview: string | null
  isLooked: boolean
  /** Why it cannot be sent. */
  trouble: Trouble | null
  /** The server's own words, where it was the server that found it. */
  reason: string | null
  /** What training may suffer from. */
  hint: 'small' | 'duplicate' | null
  /** The same for the same bytes. */
  print: string
}

export const begun = (file: File): Photo => ({
  id: crypto.randomUUID(),
  file,
  preview: null,
  isLooked: false,
  trouble: null,
  reason: null,
  hint: null,
  print: '',
})

/** What the first bytes and the size say. */
export function troubleOfFile(head: Uint8Array, bytes: number): Trouble | null {
  const begins = (magic: number[]) => magic.every((byte, place) => head[place] === byte)
  const box = String.fromCharCode(...head.slice(4, 12))
  if (!begins(PNG) && !begins(JPEG)) return HEIC.test(box) ? 'heic' : 'kind'
  return bytes > PHOTO_BYTES_MAX ? 'large' : null
}

/** What width and height say. */
export function troubleOfSize(width: number, height: number): Trouble | null {
  if (width * height > PIXELS_MAX) return 'pixels'
  return Math.min(width, height) < SIDE_MIN ? 'small' : null
}

/** Marks whatever has the same bytes as one before it. */
export function withDuplicates(photos: Photo[]): Photo[] {
  const seen = new Set<string>()
  return photos.map((photo) => {
    const isSame = photo.print !== '' && seen.has(photo.print)
    seen.add(photo.print)
    if (isSame) return { ...photo, hint: 'duplicate' as const }
    return photo.hint === 'duplicate' ? { ...photo, hint: null } : photo
  })
}

/** How many more photos, all of them different, a training needs. */
export function missingOf(photos: readonly Photo[]): number {
  const fit = photos.filter((photo) => !photo.trouble && photo.hint !== 'duplicate')
  return Math.max(0, PHOTOS_MIN - fit.length)
}

export const headOf = async (file: File) =>
  new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer())
