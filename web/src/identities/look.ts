/** What is on a photo? Looked at one after the other: forty at once would fill the memory. */
import { headOf, type Photo, SIDE_WANTED, troubleOfFile, troubleOfSize } from './photos'

const PREVIEW_PIXELS = 256

export type Seen = Pick<Photo, 'preview' | 'trouble' | 'hint' | 'print'>

export async function look(file: File): Promise<Seen> {
  const nothing: Seen = { preview: null, trouble: null, hint: null, print: '' }
  const trouble = troubleOfFile(await headOf(file), file.size)
  if (trouble) return { ...nothing, trouble }
  const url = URL.createObjectURL(file)
  try {
    const image = new Image()
    image.src = url
    await image.decode()
    const { naturalWidth: width, naturalHeight: height } = image
    return {
      preview: await smaller(image),
      trouble: troubleOfSize(width, height),
      hint: Math.min(width, height) < SIDE_WANTED ? 'small' : null,
      print: await printOf(file),
    }
  } catch {
    return { ...nothing, trouble: 'unreadable' }
  } finally {
    URL.revokeObjectURL(url)
  }
}

/** A square out of its middle, as a URL of few bytes. */
async function smaller(image: HTMLImageElement): Promise<string | null> {
  const canvas = document.createElement('canvas')
  canvas.width = PREVIEW_PIXELS
  canvas.height = PREVIEW_PIXELS
  const side = Math.min(image.naturalWidth, image.naturalHeight)
  const [x, y] = [(image.naturalWidth - side) / 2, (image.naturalHeight - side) / 2]
  canvas.getContext('2d')?.drawImage(image, x, y, side, side, 0, 0, PREVIEW_PIXELS, PREVIEW_PIXELS)
  const blob = await new Promise<Blob | null>((resolve) => canvas.toBlob(resolve, 'image/jpeg'))
  return blob && URL.createObjectURL(blob)
}

async function printOf(file: File): Promise<string> {
  // Browsers digest nothing on pages that came over plain HTTP from another machine.
  if (!crypto.subtle) return ''
  const digest = await crypto.subtle.digest('SHA-256', await file.arrayBuffer())
  return [...new Uint8Array(digest)].map((byte) => byte.toString(16).padStart(2, '0')).join('')
}
