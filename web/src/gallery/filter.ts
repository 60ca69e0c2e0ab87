/** What the gallery shows, as the address of the page says it. */
import type { GalleryFilter } from '@/api/gallery'

const DAY = /^\d{4}-\d{2}-\d{2}$/
const ID = /^[0-9a-f-]{36}$/i
const TEXT_CHARACTERS_MAX = 200

/** Takes from an address what it may say, and leaves out the rest. */
export function filterOf(search: Record<string, unknown>): GalleryFilter {
  const text = (name: string) =>
    ['string', 'number'].includes(typeof search[name])
      ? String(search[name]).trim().slice(0, TEXT_CHARACTERS_MAX) || undefined
      : undefined
  const like = (name: string, pattern: RegExp) => {
    const value = text(name)
    return value && pattern.test(value) ? value : undefined
  }
  const batch = Number(text('batch'))
  return {
    text: text('text'),
    project: like('project', ID),
    made: text('made'),
    media: like('media', /^(image|video)$/) as GalleryFilter['media'],
    batch: Number.isSafeInteger(batch) && batch > 0 ? batch : undefined,
    job: like('job', ID),
    from: like('from', DAY),
    to: like('to', DAY),
  }
}

export const isNarrow = (filter: GalleryFilter) =>
  Object.values(filter).some((value) => value !== undefined)
