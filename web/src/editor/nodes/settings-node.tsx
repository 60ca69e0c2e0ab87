import type { NodeProps } from '@xyflow/react'
import { Dices, Minus, Play, Plus, SlidersHorizontal, TriangleAlert } from 'lucide-react'
import { memo } from 'react'
import { type AdapterOffer, type Model, useCatalogue } from '@/api/catalogue'
import { changeNode, type SettingsNode as Data } from '@/graph'
import { Button, IconButton } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { Segments } from '@/ui/segments'
import { Select } from '@/ui/select'
import { Skeleton } from '@/ui/states'
import { useFormat, useWords, type Words } from '@/words'
import { offerOf, priceOf, sizeOf } from '../price'
import { type FlowNode, useEditor, useEditorStore } from '../store'
import { referenceCountOf, useRun } from '../use-run'
import { NodeFrame, sameNode } from './node-frame'
import { RatioPicker } from './ratio-picker'

const NOBODY = 'nobody'
const WORKER = 'worker'

type Change = (fields: Partial<Omit<Data, 'id' | 'kind'>>) => void

export const SettingsNode = memo(function SettingsNode({ data }: NodeProps<FlowNode>) {
  const { editor } = useWords()
  return (
    <NodeFrame
      kind="settings"
      icon={SlidersHorizontal}
      takes={editor.ports.intoSettings}
      width={288}
    >
      <Settings node={data.node as Data} />
    </NodeFrame>
  )
}, sameNode)

const Settings = memo(function Settings({ node }: { node: Data }) {
  const { editor } = useWords()
  const changeGraph = useEditor((state) => state.change)
  const catalogue = useCatalogue()
  const run = useRun()
  const models = catalogue.data?.models ?? []
  const model = models.find(({ id }) => id === node.model) ?? models[0]
  const change: Change = (fields) =>
    changeGraph((graph) => changeNode<'settings'>(graph, node.id, fields), `settings ${node.id}`)
  const offer = useOffer(node)
  return (
    <>
      {model ? (
        <div className="flex flex-col gap-2.5">
          <ModelField
            node={node}
            model={model}
            models={models}
            adapter={offer.adapter}
            change={change}
          />
          <div className="grid grid-cols-2 gap-2">
            <div className="flex flex-col gap-1 text-xs font-medium text-quiet">
              {editor.aspectRatio}
              <RatioPicker
                value={node.aspectRatio}
                ratios={model.aspectRatios}
                onChoose={(aspectRatio) => change({ aspectRatio })}
              />
            </div>
            <Quantity node={node} most={catalogue.data?.quantityMax ?? 4} change={change} />
          </div>
          {model.imageSizes.length > 1 && offer.by === 'model' && (
            <Segments
              label={editor.size}
              className="w-full"
              value={sizeOf(model, node.imageSize)}
              choices={bySize(model).map(({ name }) => ({ value: name, label: name }))}
              onChoose={(imageSize) => change({ imageSize })}
            />
          )}
          <div className="grid grid-cols-2 gap-2">
            <Seed node={node} model={model} most={catalogue.data?.seedMax ?? 0} change={change} />
            <IdentityField node={node} change={change} />
          </div>
          <Button
            look="primary"
            icon={Play}
            className="nodrag mt-1 h-9! w-full"
            onClick={() => run(node.id)}
          >
            {editor.run}
            {offer.each !== null && (
              <span className="font-normal opacity-85">
                · {editor.price(offer.each * node.quantity)}
              </span>
            )}
          </Button>
        </div>
      ) : catalogue.error ? (
        <p role="alert" className="text-sm text-bad">
          {editor.problems.models_missing}
        </p>
      ) : (
        <Skeleton className="h-56" />
      )}
    </>
  )
})

/** Who makes the pictures at what price, and the worker that could. */
function useOffer(node: Data) {
  const catalogue = useCatalogue().data
  const identities = useEditor((state) => state.identities)
  const count = useEditor((state) => (node.identityId ? referenceCountOf(state, node.id) : 0))
  if (!catalogue) return { by: 'model', each: null, adapter: null } as const
  const { by, each } = offerOf(node, catalogue, identities, count) ?? { by: 'model', each: null }
  const free = offerOf({ ...node, model: null }, catalogue, identities, count)
  const base = identities.find(({ id }) => id === node.identityId)?.base_model
  const adapter = catalogue.adapters.find(({ baseModel }) => baseModel === base) ?? null
  return { by, each, adapter: free?.by === 'worker' ? adapter : null }
}

interface PartProps {
  node: Data
  change: Change
}

function ModelField({
  node,
  model,
  models,
  adapter,
  change,
}: PartProps & { model: Model; models: Model[]; adapter: AdapterOffer | null }) {
  const { editor } = useWords()
  const format = useFormat()
  const ends = (one: Model) =>
    one.retiresAt
      ? ` · ${editor.retires(format.day(one.retiresAt))}${one.replacedBy ? `, ${editor.replacedBy(one.replacedBy)}` : ''}`
      : ''
  return (
    <Field
      label={editor.model}
      hint={
        adapter && node.model === null ? undefined : model.retiresAt ? (
          <span className="flex items-center gap-1 text-warn">
            <TriangleAlert aria-hidden className="size-3.5" />
            {editor.retires(format.day(model.retiresAt))}
          </span>
        ) : undefined
      }
    >
      {({ id }) => (
        <Select
          id={id}
          value={adapter && node.model === null ? WORKER : model.id}
          choices={[
            ...(adapter ? [trained(adapter, editor)] : []),
            ...models.map((one) => ({
              value: one.id,
              label: one.title,
              detail: `${editor.references(one.referencesMax)}${ends(one)}`,
              aside: editor.priceEach(priceOf(one, null)),
            })),
          ]}
          onChoose={(chosen) => {
            if (chosen === WORKER) change({ model: null, imageSize: null })
            const next = models.find((one) => one.id === chosen)
            if (next) change({ model: next.id, ...fitting(node, next) })
          }}
        />
      )}
    </Field>
  )
}

const trained = (adapter: AdapterOffer, editor: Words['editor']) => ({
  value: WORKER,
  label: editor.trained,
  detail: editor.trainedAbout,
  aside: editor.priceEach(adapter.credits),
})

function Quantity({ node, most, change }: PartProps & { most: number }) {
  const { editor } = useWords()
  return (
    <fieldset className="flex flex-col gap-1 text-xs font-medium text-quiet">
      <legend className="mb-1">{editor.quantity}</legend>
      <div className="nodrag flex h-8 items-center rounded-md border border-edge/60">
        <IconButton
          icon={Minus}
          label={editor.fewer}
          size="small"
          className="ml-0.5"
          disabled={node.quantity <= 1}
          onClick={() => change({ quantity: node.quantity - 1 })}
        />
        <output className="flex-1 text-center text-sm text-ink tabular-nums">
          {node.quantity}
        </output>
        <IconButton
          icon={Plus}
          label={editor.moreOf}
          size="small"
          className="mr-0.5"
          disabled={node.quantity >= most}
          onClick={() => change({ quantity: node.quantity + 1 })}
        />
      </div>
    </fieldset>
  )
}

function Seed({ node, model, most, change }: PartProps & { model: Model; most: number }) {
  const { editor } = useWords()
  return (
    <Field label={editor.seed}>
      {(given) => (
        <div className="nodrag relative">
          <Input
            {...given}
            inputMode="numeric"
            className="pr-7! tabular-nums"
            disabled={!model.takesSeed}
            title={model.takesSeed ? undefined : editor.seedNotTaken}
            placeholder={editor.seedHint}
            value={node.seed ?? ''}
            onChange={(event) => {
              const digits = event.target.value.replace(/\D/g, '')
              change({ seed: digits === '' ? null : Math.min(most, Number(digits)) })
            }}
          />
          {node.seed !== null && (
            <span className="absolute inset-y-0 right-1 flex items-center">
              <IconButton
                icon={Dices}
                label={editor.seedHint}
                size="small"
                onClick={() => change({ seed: null })}
              />
            </span>
          )}
        </div>
      )}
    </Field>
  )
}

function IdentityField({ node, change }: PartProps) {
  const { editor } = useWords()
  const store = useEditorStore()
  const identities = useEditor((state) => state.identities)
  return (
    <Field label={editor.identity}>
      {({ id }) => (
        <Select
          id={id}
          value={node.identityId ?? NOBODY}
          onOpen={() => store.setState({ wantsIdentities: true })}
          choices={[
            { value: NOBODY, label: editor.noIdentity },
            ...identities.map((one) => ({ value: one.id, label: one.identity_name })),
          ]}
          onChoose={(chosen) => change({ identityId: chosen === NOBODY ? null : chosen })}
        />
      )}
    </Field>
  )
}

/** The sizes from the smallest: 512 pixels, then thousands of them. */
const bySize = (model: Model) => {
  const pixels = ({ name }: { name: string }) =>
    Number.parseInt(name, 10) * (name.endsWith('K') ? 1024 : 1)
  return [...model.imageSizes].sort((one, other) => pixels(one) - pixels(other))
}

/** What of the settings another model takes as well. */
function fitting(node: Data, model: Model): Pick<Data, 'aspectRatio' | 'imageSize'> {
  const takes = model.imageSizes.some(({ name }) => name === node.imageSize)
  return {
    aspectRatio: model.aspectRatios.includes(node.aspectRatio ?? '') ? node.aspectRatio : null,
    imageSize: takes ? node.imageSize : null,
  }
}
