/** What is a picture called on the reader's disk? Its prompt, as files may be called, and its seed. */
import type { Generation } from '@/api/rows'

const WORDS_CHARACTERS_MAX = 60
const EXTENSIONS: Record<string, string> = {
  'image/jpeg': 'jpg',
  'image/png': 'png',
  'image/webp': 'webp',
  'video/mp4': 'mp4',
  'video/webm': 'webm',
}

type Named = Pick<Generation, 'id' | 'prompt' | 'seed' | 'path' | 'metadata' | 'media_type'>

export function fileName(picture: Named): string {
  const words = (picture.prompt ?? '')
    .normalize('NFD')
    .replace(/\p{M}/gu, '')
    .toLowerCase()
    .replace(/[^\p{L}\p{N}]+/gu, '-')
    .slice(0, WORDS_CHARACTERS_MAX)
    .replace(/^-+|-+$/g, '')
  const mark = picture.seed ?? picture.id.slice(0, 8)
  return `${[words, mark].filter((part) => part !== '').join('-')}.${extensionOf(picture)}`
}

function extensionOf({ metadata, path, media_type }: Named): string {
  const known = EXTENSIONS[String(metadata.media_type)]
  const [, own] = /\.([a-z0-9]{2,4})$/i.exec(path ?? '') ?? []
  return known ?? own ?? (media_type === 'video' ? 'mp4' : 'png')
}
