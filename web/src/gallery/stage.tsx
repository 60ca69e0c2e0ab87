import { Maximize, ZoomIn, ZoomOut } from 'lucide-react'
import { useEffect, useRef, useState } from 'react'
import type { Generation } from '@/api/rows'
import { useShown } from '@/api/shown'
import { IconButton } from '@/ui/button'
import { classes } from '@/ui/classes'
import { Skeleton } from '@/ui/states'
import { useFormat, useWords } from '@/words'

const SCALE_MAX = 8
const STEP = 1.5

interface View {
  scale: number
  x: number
  y: number
}

const WHOLE: View = { scale: 1, x: 0, y: 0 }

/** A picture that can be gone into, or a video that plays. */
export function Stage({ picture }: { picture: Generation }) {
  const src = useShown(picture, 'whole')
  const poster = useShown(picture, 'small')
  if (!src) return <Skeleton className="size-full max-w-3xl" />
  if (picture.media_type === 'video')
    return (
      // biome-ignore lint/a11y/useMediaCaption: what models make has no speech to write down
      <video
        key={src}
        src={src}
        poster={poster}
        controls
        autoPlay
        loop
        playsInline
        aria-label={picture.prompt ?? undefined}
        className="size-full rounded-md object-contain"
      />
    )
  return <Zoomed key={src} src={src} alt={picture.prompt ?? ''} />
}

function Zoomed({ src, alt }: { src: string; alt: string }) {
  const { gallery } = useWords()
  const format = useFormat()
  const frame = useRef<HTMLDivElement>(null)
  const [view, setView] = useState(WHOLE)
  const isWhole = view.scale === 1
  const zoom = (by: number) => setView((now) => scaled(now, by))

  useEffect(() => {
    const element = frame.current
    // React listens passively, which could not keep the page from scrolling.
    const onWheel = (event: WheelEvent) => {
      event.preventDefault()
      setView((now) => scaled(now, Math.exp(-event.deltaY / 400)))
    }
    const onKey = (event: KeyboardEvent) => {
      if (event.key === '+' || event.key === '=') setView((now) => scaled(now, STEP))
      if (event.key === '-') setView((now) => scaled(now, 1 / STEP))
      if (event.key === '0') setView(WHOLE)
    }
    element?.addEventListener('wheel', onWheel, { passive: false })
    window.addEventListener('keydown', onKey)
    return () => {
      element?.removeEventListener('wheel', onWheel)
      window.removeEventListener('keydown', onKey)
    }
  }, [])

  return (
    // biome-ignore lint/a11y/noStaticElementInteractions: its buttons and the keys do the same
    <div
      ref={frame}
      onDoubleClick={() => setView((now) => (now.scale === 1 ? { ...WHOLE, scale: 2 } : WHOLE))}
      onPointerMove={(event) => {
        if (event.buttons !== 1 || isWhole) return
        setView((now) => ({ ...now, x: now.x + event.movementX, y: now.y + event.movementY }))
      }}
      className={classes(
        'absolute inset-0 flex touch-none items-center justify-center overflow-hidden p-4',
        !isWhole && 'cursor-grab active:cursor-grabbing',
      )}
    >
      <img
        src={src}
        alt={alt}
        draggable={false}
        style={{ transform: `translate(${view.x}px, ${view.y}px) scale(${view.scale})` }}
        className="fade max-h-full max-w-full rounded-md object-contain"
      />
      <div className="absolute bottom-3 flex items-center gap-1 rounded-lg border border-line bg-surface p-1 shadow-card">
        <IconButton
          icon={ZoomOut}
          size="small"
          side="top"
          label={gallery.zoomOut}
          disabled={isWhole}
          onClick={() => zoom(1 / STEP)}
        />
        <span role="status" className="w-12 text-center text-xs text-quiet tabular-nums">
          {format.percent(view.scale)}
        </span>
        <IconButton
          icon={ZoomIn}
          size="small"
          side="top"
          label={gallery.zoomIn}
          disabled={view.scale >= SCALE_MAX}
          onClick={() => zoom(STEP)}
        />
        <IconButton
          icon={Maximize}
          size="small"
          side="top"
          label={gallery.fit}
          disabled={isWhole}
          onClick={() => setView(WHOLE)}
        />
      </div>
    </div>
  )
}

/** What is in the middle stays in the middle. */
function scaled({ scale, x, y }: View, by: number): View {
  const next = Math.min(SCALE_MAX, scale * by)
  return next <= 1.01 ? WHOLE : { scale: next, x: (x * next) / scale, y: (y * next) / scale }
}
