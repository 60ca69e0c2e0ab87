import { UserRound } from 'lucide-react'
import { storedOf, useSigned } from '@/api/pictures'
import { classes } from '@/ui/classes'

const PIXELS = 400

interface PictureProps {
  /** Where its owner reads it: a URL of the server, or `bucket/path`. */
  url: string | null
  alt: string
  className?: string
}

/** A picture that only its owner may see. */
export function Picture({ url, alt, className }: PictureProps) {
  const stored = storedOf(url) ?? placeOf(url)
  return (
    <div className={classes('overflow-hidden bg-raised', className)}>
      {stored ? (
        <Signed bucket={stored.bucket} path={stored.path} alt={alt} />
      ) : (
        <UserRound aria-hidden className="size-full p-[30%] text-faint" strokeWidth={1} />
      )}
    </div>
  )
}

/** The same picture, so many pixels wide; undefined while it is asked for. */
export function useOwnPicture(url: string, pixels: number): string | undefined {
  const stored = storedOf(url) ?? placeOf(url)
  return useSigned(stored ?? { bucket: '', path: '' }, pixels, stored !== null).data
}

function placeOf(name: string | null) {
  if (!name || name.includes(':')) return null
  const [bucket = '', ...path] = name.split('/')
  return { bucket, path: path.join('/') }
}

function Signed({ bucket, path, alt }: { bucket: string; path: string; alt: string }) {
  const { data: src } = useSigned({ bucket, path }, PIXELS)
  return src ? (
    <img src={src} alt={alt} loading="lazy" className="develop size-full object-cover" />
  ) : null
}
