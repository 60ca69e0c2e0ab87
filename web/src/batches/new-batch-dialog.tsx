import { useState } from 'react'
import { BATCH_PICTURES_MAX, type BatchAccepted, generateBatch } from '@/api/batches'
import { type Model, useCatalogue } from '@/api/catalogue'
import { useCredits } from '@/api/credits'
import { useIdentities } from '@/api/identities'
import { refusalOf } from '@/api/refusal'
import { useSentence } from '@/shell/sentence'
import { Button } from '@/ui/button'
import { Dialog } from '@/ui/dialog'
import { Field, Input, Textarea } from '@/ui/field'
import { Select } from '@/ui/select'
import { toast } from '@/ui/toast'
import { useFormat, useWords } from '@/words'
import { References } from './references'
import { useReferences } from './use-references'

const AUTO = 'auto'
const NOBODY = 'nobody'
const TOTAL_FIRST = 8

interface NewBatchDialogProps {
  open: boolean
  onClose: () => void
  onAccepted: (accepted: BatchAccepted) => void
}

/** What a batch is asked for with. */
export function NewBatchDialog({ open, onClose, onAccepted }: NewBatchDialogProps) {
  const { batches, shell } = useWords()
  return (
    <Dialog
      open={open}
      onClose={onClose}
      title={batches.create}
      about={batches.createAbout}
      closeLabel={shell.close}
      holds
    >
      <NewBatchForm onAccepted={onAccepted} />
    </Dialog>
  )
}

function NewBatchForm({ onAccepted }: Pick<NewBatchDialogProps, 'onAccepted'>) {
  const { batches } = useWords()
  const catalogue = useCatalogue().data
  const identities = useIdentities().rows.filter(({ status }) => status === 'ready')
  // The same request is one batch, however often its button is pressed.
  const [key, setKey] = useState(() => crypto.randomUUID())
  const [prompt, setPrompt] = useState('')
  const [modelId, setModelId] = useState<string | null>(null)
  const [identityId, setIdentityId] = useState(NOBODY)
  const [ratio, setRatio] = useState(AUTO)
  const [size, setSize] = useState<string | null>(null)
  const [total, setTotal] = useState(String(TOTAL_FIRST))
  const [busy, setBusy] = useState(false)
  const [isTried, setTried] = useState(false)
  const available = useCredits().data?.available ?? 0
  const format = useFormat()
  const sentence = useSentence()
  const references = useReferences()
  const model = catalogue?.models.find(({ id }) => id === modelId) ?? catalogue?.models[0]
  const count = Number(total)
  const isCount = Number.isInteger(count) && count >= 1 && count <= BATCH_PICTURES_MAX
  const isReady = Boolean(prompt.trim()) && isCount && model && references.isReady
  const price = isCount && model ? count * priceOf(model, size) : null
  const isTooDear = price !== null && price > available

  async function submit(event: React.FormEvent) {
    event.preventDefault()
    setTried(true)
    if (!isReady || busy) return
    setBusy(true)
    try {
      const accepted = await generateBatch(
        {
          prompt: prompt.trim(),
          totalImages: count,
          model: model?.id,
          aspectRatio: ratio === AUTO ? undefined : ratio,
          imageSize: size ?? undefined,
          identityId: identityId === NOBODY ? undefined : identityId,
          referenceImageUrls: references.names.length ? references.names : undefined,
        },
        key,
      )
      for (const warning of accepted.warnings ?? []) toast.warning(warning)
      onAccepted(accepted)
    } catch (error) {
      const refusal = await refusalOf(error)
      toast.error(sentence(refusal))
      // A refused request never was; the next one may be another.
      if (!refusal.isPassing) setKey(crypto.randomUUID())
    }
    setBusy(false)
  }

  return (
    <form noValidate onSubmit={(event) => void submit(event)} className="flex flex-col gap-4">
      <Field
        label={batches.prompt}
        wrong={isTried && !prompt.trim() ? batches.promptMissing : null}
      >
        {(given) => (
          <Textarea
            {...given}
            rows={4}
            autoFocus
            value={prompt}
            maxLength={catalogue?.promptCharactersMax}
            placeholder={batches.promptPlaceholder}
            onChange={(event) => setPrompt(event.target.value)}
          />
        )}
      </Field>
      <div className="grid grid-cols-2 gap-3">
        <Field label={batches.model}>
          {(given) => (
            <Select
              {...given}
              value={model?.id ?? ''}
              choices={(catalogue?.models ?? []).map(({ id, title }) => ({
                value: id,
                label: title,
              }))}
              onChoose={(id) => {
                setModelId(id)
                setRatio(AUTO)
                setSize(null)
              }}
            />
          )}
        </Field>
        <Field label={batches.identity}>
          {(given) => (
            <Select
              {...given}
              value={identityId}
              choices={[
                { value: NOBODY, label: batches.nobody },
                ...identities.map(({ id, identity_name }) => ({ value: id, label: identity_name })),
              ]}
              onChoose={setIdentityId}
            />
          )}
        </Field>
        <Field label={batches.ratio}>
          {(given) => (
            <Select
              {...given}
              value={ratio}
              choices={[
                { value: AUTO, label: batches.auto },
                ...(model?.aspectRatios ?? []).map((value) => ({ value, label: value })),
              ]}
              onChoose={setRatio}
            />
          )}
        </Field>
        <Field label={batches.size}>
          {(given) => (
            <Select
              {...given}
              value={size ?? model?.imageSizes[0]?.name ?? ''}
              choices={(model?.imageSizes ?? []).map(({ name, credits }) => ({
                value: name,
                label: name,
                aside: batches.credits(credits),
              }))}
              onChoose={setSize}
            />
          )}
        </Field>
        <Field
          label={batches.total}
          hint={batches.totalHint(BATCH_PICTURES_MAX)}
          wrong={isCount ? null : batches.totalHint(BATCH_PICTURES_MAX)}
        >
          {(given) => (
            <Input
              {...given}
              type="number"
              min={1}
              max={BATCH_PICTURES_MAX}
              value={total}
              onChange={(event) => setTotal(event.target.value)}
            />
          )}
        </Field>
      </div>
      {model && model.referencesMax > 0 && (
        <References references={references} most={model.referencesMax} />
      )}
      <div className="flex flex-wrap items-center justify-end gap-3">
        {isTooDear && (
          <p role="status" className="min-w-40 flex-1 text-xs text-warn">
            {batches.tooDear(format.number(available))}
          </p>
        )}
        <Button
          type="submit"
          look="primary"
          busy={busy || !references.isReady}
          disabled={!isCount || !model}
        >
          {price === null ? batches.create : batches.ask(price)}
        </Button>
      </div>
    </form>
  )
}

function priceOf(model: Model, size: string | null): number {
  const chosen = model.imageSizes.find(({ name }) => name === size) ?? model.imageSizes[0]
  return chosen?.credits ?? 0
}
