import { Link } from '@tanstack/react-router'
import { useSigned } from '@/api/pictures'
import { type Origin, referencesOf } from '@/api/recipes'
import type { Generation } from '@/api/rows'
import { Skeleton } from '@/ui/states'
import { useFormat, useWords } from '@/words'

interface RecipeProps {
  picture: Generation
  origin: Origin | undefined
}

/** What a picture was made from. */
export function Recipe({ picture, origin }: RecipeProps) {
  const { gallery } = useWords()
  const format = useFormat()
  const job = origin?.job
  const { width, height, metadata } = picture
  const told = (name: string) => {
    const value = job?.payload[name]
    return typeof value === 'string' ? value : null
  }
  const facts: [string, string | null][] = [
    [gallery.model, picture.model],
    [gallery.provider, picture.provider],
    [gallery.seed, picture.seed === null ? null : String(picture.seed)],
    [gallery.pixels, width && height ? `${format.number(width)} × ${format.number(height)}` : null],
    [gallery.ratio, told('aspect_ratio')],
    [gallery.bytes, typeof metadata.bytes === 'number' ? format.bytes(metadata.bytes) : null],
    [gallery.cost, origin?.credits == null ? null : gallery.credits(origin.credits)],
    [gallery.made, format.moment(picture.created_at)],
  ]
  const references = job ? referencesOf(job) : []
  return (
    <>
      <p className="max-h-48 overflow-y-auto text-sm whitespace-pre-wrap">{picture.prompt}</p>
      <dl className="grid grid-cols-[auto_1fr] gap-x-4 gap-y-1.5 text-sm">
        {facts.map(
          ([name, value]) =>
            value && (
              <div key={name} className="contents">
                <dt className="text-faint">{name}</dt>
                <dd className="truncate text-right tabular-nums" title={value}>
                  {value}
                </dd>
              </div>
            ),
        )}
        {picture.job_id && (
          <div className="contents">
            <dt className="text-faint">{gallery.job}</dt>
            <dd className="text-right">
              <Link
                to="/gallery"
                search={{ job: picture.job_id }}
                className="font-medium text-accent-strong underline underline-offset-2"
              >
                {gallery.sameJob}
              </Link>
            </dd>
          </div>
        )}
      </dl>
      {references.length > 0 && (
        <section aria-label={gallery.references} className="flex flex-col gap-1.5">
          <h3 className="text-xs font-medium text-faint">{gallery.references}</h3>
          <ul className="flex flex-wrap gap-1.5">
            {references.map((reference) => (
              <Reference key={`${reference.bucket}/${reference.path}`} {...reference} />
            ))}
          </ul>
        </section>
      )}
    </>
  )
}

const REFERENCE_PIXELS = 128

function Reference(stored: { bucket: string; path: string }) {
  const { gallery } = useWords()
  const { data, error } = useSigned(stored, REFERENCE_PIXELS)
  if (error) return null
  return (
    <li className="size-14 overflow-hidden rounded-md bg-raised">
      {data ? (
        <img src={data} alt={gallery.reference} className="size-full object-cover" />
      ) : (
        <Skeleton className="size-full" />
      )}
    </li>
  )
}
