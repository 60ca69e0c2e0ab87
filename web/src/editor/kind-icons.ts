import type { LucideIcon } from 'lucide-react'
import { GalleryVerticalEnd, Images, SlidersHorizontal, TextCursorInput } from 'lucide-react'
import type { Kind } from '@/graph'

export const KIND_ICONS: Record<Kind, LucideIcon> = {
  prompt: TextCursorInput,
  references: Images,
  settings: SlidersHorizontal,
  output: GalleryVerticalEnd,
}
