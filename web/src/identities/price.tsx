import { Link } from '@tanstack/react-router'
import { type TrainingOffer, useCatalogue } from '@/api/catalogue'
import { useCredits } from '@/api/credits'
import { classes } from '@/ui/classes'
import { useFormat, useWords } from '@/words'

/** What so many steps cost; the recommended number where none are given. */
export function priceOf(offer: TrainingOffer, steps: number | undefined): number {
  return offer.credits * Math.ceil((steps ?? offer.steps) / offer.stepsEach)
}

/** The price of a training, beside what is there to pay it with. Nothing until it is known. */
export function Price({ steps }: { steps: number | undefined }) {
  const { identities } = useWords()
  const words = identities.form.price
  const { number } = useFormat()
  const offer = useCatalogue().data?.training
  const account = useCredits()
  if (!offer || account.isPending) return null
  const price = priceOf(offer, steps)
  const available = account.data?.available ?? 0
  const isShort = available < price
  return (
    <section
      aria-label={words.title}
      className={classes(
        'max-w-2xl rounded-lg border px-4 py-3 text-sm',
        isShort ? 'border-warn bg-warn-soft' : 'border-line bg-surface',
      )}
    >
      <p className="flex flex-wrap items-baseline gap-x-3">
        <span className="text-xs font-medium text-quiet">{words.title}</span>
        <strong className="font-semibold tabular-nums" aria-live="polite">
          {words.of(price, number(price))}
        </strong>
        <span className="text-quiet tabular-nums">{words.available(number(available))}</span>
      </p>
      <p className={classes('mt-1 text-xs', isShort ? 'text-warn' : 'text-quiet')}>
        {isShort ? words.short : words.about}{' '}
        {isShort && (
          <Link to="/credits" className="font-medium underline underline-offset-2">
            {words.toCredits}
          </Link>
        )}
      </p>
    </section>
  )
}
