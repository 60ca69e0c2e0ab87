import type { Identity } from '@/api/rows'
import { useFormat, useLocale, useWords } from '@/words'
import { BASES } from './bases'

const DIGITS = 4

/** What else is known of an identity, its consent among it. */
export function Facts({ identity }: { identity: Identity }) {
  const { identities } = useWords()
  const words = identities.facts
  const format = useFormat()
  const locale = useLocale()
  const { consent, loss, huggingface_repo_url: url } = identity
  const written = new Intl.NumberFormat(locale, { maximumSignificantDigits: DIGITS })
  const facts = [
    [words.trigger, <code key="word">{identity.trigger_word}</code>],
    [words.base, BASES[identity.base_model ?? ''] ?? identity.base_model],
    [words.loss, loss === null ? null : written.format(loss)],
    [
      words.repository,
      url?.startsWith('https://') ? (
        <a key="url" href={url} target="_blank" rel="noreferrer" className="underline">
          {identity.model_id}
        </a>
      ) : (
        identity.model_id
      ),
    ],
    [
      words.consent,
      consent.given && (
        <>
          {consent.at && words.consentAt(format.moment(consent.at))}
          {consent.text && <q className="mt-1 block text-xs text-quiet">{consent.text}</q>}
        </>
      ),
    ],
  ] as const
  return (
    <section className="flex flex-col gap-2">
      <h2 className="text-sm font-semibold">{words.title}</h2>
      <dl className="flex flex-col gap-3 rounded-lg border border-line bg-surface p-4 text-sm">
        {facts
          .filter(([, value]) => value)
          .map(([name, value]) => (
            <div key={name}>
              <dt className="text-xs font-medium text-quiet">{name}</dt>
              <dd className="break-words">{value}</dd>
            </div>
          ))}
      </dl>
    </section>
  )
}
