import type { Identity } from '@/api/rows'
import { useFormat, useWords } from '@/words'
import { Plates } from './plates'

/** Pictures of the person as the model has it, from the first to the newest. */
export function Samples({ identity }: { identity: Identity }) {
  const { identities } = useWords()
  const { number } = useFormat()
  const { sample_urls: urls, status } = identity
  if (urls.length === 0 && status !== 'training') return null
  return (
    <section className="flex flex-col gap-2">
      <h2 className="text-sm font-semibold">{identities.samples}</h2>
      {urls.length === 0 ? (
        <p className="rounded-lg border border-dashed border-line px-4 py-6 text-center text-sm text-quiet">
          {identities.noSamples}
        </p>
      ) : (
        <Plates
          className="grid-cols-2 sm:grid-cols-4 lg:grid-cols-6"
          plates={urls.map((url, place) => ({ url, name: identities.sample(number(place + 1)) }))}
        />
      )}
    </section>
  )
}
