import { Link, useNavigate } from '@tanstack/react-router'
import { ArrowLeft, GraduationCap } from 'lucide-react'
import { type FormEvent, useRef, useState } from 'react'
import { flushSync } from 'react-dom'
import { useCatalogue } from '@/api/catalogue'
import { refusalOf } from '@/api/refusal'
import { type Sending, trainIdentity } from '@/api/train-identity'
import { useSentence } from '@/shell/sentence'
import { Button } from '@/ui/button'
import { Checkbox, Field, Input } from '@/ui/field'
import { Page } from '@/ui/page'
import { Progress } from '@/ui/progress'
import { Select } from '@/ui/select'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { BASES } from './bases'
import { Leaving } from './leaving'
import { PhotoGrid } from './photo-grid'
import { missingOf } from './photos'
import { Price } from './price'
import { usePhotos } from './use-photos'

const NAME_CHARACTERS_MAX = 100
const STEPS_MAX = 10_000
const LINK =
  'inline-flex items-center gap-1 rounded-sm font-medium text-ink underline decoration-line underline-offset-4 hover:decoration-accent'

const WRONG = '[aria-invalid="true"], [data-wrong]'

interface Wrong {
  photos?: string
  name?: string
  steps?: string
  consent?: string
  whole?: string
}

/** From photos of a person to a training that goes on. */
export function NewIdentity() {
  const { identities } = useWords()
  const words = identities.form
  const { number } = useFormat()
  const navigate = useNavigate()
  const sentence = useSentence()
  const isClosed = useCatalogue().data?.training.isOffered === false
  const photos = usePhotos()
  const [name, setName] = useState('')
  const [steps, setSteps] = useState('')
  const [base, setBase] = useState('')
  const [agrees, setAgrees] = useState(false)
  const [wrong, setWrong] = useState<Wrong>({})
  const [sending, setSending] = useState<Sending | null>(null)
  const abort = useRef<AbortController | null>(null)
  // The same request sent again is the same training; another one is another.
  const sent = useRef({ of: '', key: '' })

  const isLooking = photos.photos.some((photo) => !photo.isLooked)

  function wrongPhotos(): string | undefined {
    const missing = missingOf(photos.photos)
    if (photos.photos.some((photo) => photo.trouble)) return words.wrong
    if (isLooking) return words.waits
    return missing ? words.missing(missing, number(missing)) : undefined
  }

  function findWrong(): Wrong {
    const whole = steps.trim() === '' ? 1 : Number(steps)
    const stepsFit = Number.isInteger(whole) && whole >= 1 && whole <= STEPS_MAX
    return {
      photos: wrongPhotos(),
      name: name.trim() ? undefined : words.nameMissing,
      steps: stepsFit ? undefined : words.stepsWrong(number(STEPS_MAX)),
      consent: agrees ? undefined : words.consentMissing,
    }
  }

  async function start(event: FormEvent<HTMLFormElement>) {
    event.preventDefault()
    const found = findWrong()
    setWrong(found)
    if (Object.values(found).some(Boolean)) {
      const form = event.currentTarget
      requestAnimationFrame(() => form.querySelector<HTMLElement>(WRONG)?.focus())
      return
    }
    const request = {
      identityName: name.trim(),
      photos: photos.photos.map((photo) => photo.file),
      consentText: words.consent,
      steps: steps.trim() ? Number(steps) : undefined,
      baseModel: base || undefined,
    }
    const of = JSON.stringify([request, photos.photos.map((photo) => photo.id)])
    if (sent.current.of !== of) sent.current = { of, key: crypto.randomUUID() }
    abort.current = new AbortController()
    setSending({ stage: 'reading', part: 0 })
    try {
      const told = await trainIdentity(request, sent.current.key, abort.current.signal, setSending)
      // Nothing more is sent, so that nobody is asked about leaving.
      flushSync(() => setSending(null))
      toast.success(words.started(number(told.creditsHeld)))
      const params = { identityId: told.identityId }
      await navigate({ to: '/identities/$identityId', params })
    } catch (error) {
      await tell(error)
    } finally {
      setSending(null)
    }
  }

  async function tell(error: unknown) {
    const refusal = await refusalOf(error)
    if (refusal.code === 'aborted') {
      toast(words.stopped)
      return
    }
    const place = Number(refusal.details.image ?? 0)
    if (place > 0) photos.refuse(place - 1, refusal.message)
    setWrong({ whole: sentence(refusal) })
  }

  return (
    <Page
      title={words.title}
      about={
        <>
          <Link to="/identities" className={LINK}>
            <ArrowLeft aria-hidden className="size-3.5" />
            {identities.back}
          </Link>
          <span className="ml-3">{words.about}</span>
        </>
      }
    >
      {isClosed && (
        <p role="alert" className="rounded-md bg-warn-soft px-3 py-2 text-sm text-warn">
          {words.price.closed}
        </p>
      )}
      {sending && <Leaving onLeave={() => abort.current?.abort()} />}
      <form onSubmit={start} noValidate className="flex flex-col gap-5">
        <div>
          <PhotoGrid photos={photos} locked={sending !== null} />
          {wrong.photos && (
            <p role="alert" data-wrong tabIndex={-1} className="mt-1 text-xs text-bad">
              {wrong.photos}
            </p>
          )}
        </div>
        <Field
          label={identities.name}
          hint={words.nameHint}
          wrong={wrong.name}
          className="max-w-md"
        >
          {(given) => (
            <Input
              {...given}
              value={name}
              maxLength={NAME_CHARACTERS_MAX}
              placeholder={words.namePlaceholder}
              autoComplete="off"
              onChange={(event) => setName(event.target.value)}
            />
          )}
        </Field>
        <details className="rounded-lg border border-line bg-surface">
          <summary className="min-h-9 px-4 py-2 text-sm font-medium">{words.settings}</summary>
          <div className="grid max-w-md gap-3 px-4 pb-4 sm:grid-cols-2">
            <Field label={words.steps} hint={words.stepsHint} wrong={wrong.steps}>
              {(given) => (
                <Input
                  {...given}
                  type="number"
                  min={1}
                  max={STEPS_MAX}
                  value={steps}
                  onChange={(event) => setSteps(event.target.value)}
                />
              )}
            </Field>
            <Field label={words.base}>
              {({ id }) => (
                <Select
                  id={id}
                  value={base || AUTO}
                  choices={[
                    { value: AUTO, label: words.baseAuto },
                    ...Object.entries(BASES).map(([value, label]) => ({ value, label })),
                  ]}
                  onChoose={(value) => setBase(value === AUTO ? '' : value)}
                />
              )}
            </Field>
          </div>
        </details>
        <Price steps={Number(steps) >= 1 ? Number(steps) : undefined} />
        <div className="flex flex-col gap-1">
          <Checkbox
            label={words.consent}
            checked={agrees}
            aria-invalid={wrong.consent ? true : undefined}
            aria-describedby="consent-about"
            onChange={(event) => setAgrees(event.target.checked)}
          />
          <p
            id="consent-about"
            className={`pl-6 text-xs ${wrong.consent ? 'text-bad' : 'text-faint'}`}
          >
            {wrong.consent ?? words.consentHint}
          </p>
        </div>
        {wrong.whole && (
          <p role="alert" className="rounded-md bg-bad-soft px-3 py-2 text-sm text-bad">
            {wrong.whole}
          </p>
        )}
        <div className="flex flex-wrap items-center gap-4">
          <Button
            type="submit"
            look="primary"
            icon={GraduationCap}
            busy={sending !== null}
            disabled={isClosed}
          >
            {words.start}
          </Button>
          {sending && <OnTheWay sending={sending} onStop={() => abort.current?.abort()} />}
        </div>
      </form>
    </Page>
  )
}

// A choice needs a value.
const AUTO = 'auto'

function OnTheWay({ sending, onStop }: { sending: Sending; onStop: () => void }) {
  const { identities } = useWords()
  const words = identities.form
  const { percent } = useFormat()
  const { stage, part } = sending
  const isCounted = stage === 'reading' || stage === 'sending'
  return (
    <>
      <div className="flex min-w-48 flex-1 flex-col gap-1" aria-live="polite">
        <p className="text-sm text-quiet">
          {words.sending[stage]} {isCounted && percent(part)}
        </p>
        <Progress label={words.sending[stage]} percent={isCounted ? part * 100 : null} />
      </div>
      <Button onClick={onStop}>{words.stop}</Button>
    </>
  )
}
