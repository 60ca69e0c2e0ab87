import type { Output } from '@/api/operator-rows'
import { useFormat, useWords } from '@/words'
import { Nothing, Title } from './pieces'

const VIDEO = /\.(mp4|webm)$/

/** The pictures and videos of a job; each opens in a tab of its own. */
export function JobOutputs({ outputs }: { outputs: Output[] }) {
  const { console: told } = useWords()
  const { number } = useFormat()
  return (
    <section className="flex flex-col gap-2">
      <Title>{told.job.outputs}</Title>
      {outputs.length === 0 ? (
        <Nothing>{told.job.noOutputs}</Nothing>
      ) : (
        <ul className="grid grid-cols-2 gap-3 sm:grid-cols-4 lg:grid-cols-6">
          {outputs.map((output) => {
            const label = told.job.output(number(output.position + 1))
            return (
              <li key={output.position}>
                <a
                  href={output.url}
                  target="_blank"
                  rel="noreferrer"
                  aria-label={label}
                  className="block overflow-hidden rounded-md border border-line bg-raised"
                >
                  {VIDEO.test(output.path) ? (
                    <video src={output.url} muted className="aspect-square w-full object-cover" />
                  ) : (
                    <img
                      src={output.thumbnailUrl ?? output.url}
                      alt={label}
                      loading="lazy"
                      className="aspect-square w-full object-cover"
                    />
                  )}
                </a>
                <p className="mt-1 truncate text-xs text-faint">
                  {output.width && `${output.width}×${output.height}`} {output.model}
                </p>
              </li>
            )
          })}
        </ul>
      )}
    </section>
  )
}
