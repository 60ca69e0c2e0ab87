import { useBatches } from '@/api/batches'
import { useCatalogue } from '@/api/catalogue'
import type { GalleryFilter } from '@/api/gallery'
import { useProjects } from '@/api/projects'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { type Choice, Select } from '@/ui/select'
import { useFormat, useWords } from '@/words'

// A choice needs a value; this one stands for no choice.
const ANY = 'any'

interface FilterFormProps {
  filter: GalleryFilter
  onFilter: (filter: GalleryFilter) => void
}

/** Project, model, batch and days. */
export function FilterForm({ filter, onFilter }: FilterFormProps) {
  const { gallery } = useWords()
  const format = useFormat()
  const projects = useProjects().data ?? []
  const models = useCatalogue().data?.models ?? []
  const batches = useBatches().rows
  const providers = [...new Set(models.map(({ provider }) => provider))]
  const any: Choice = { value: ANY, label: gallery.any }
  const one = (value: string) => (value === ANY ? undefined : value)
  return (
    <div className="flex w-72 flex-col gap-3 p-2">
      <Field label={gallery.project}>
        {(given) => (
          <Select
            {...given}
            value={filter.project ?? ANY}
            choices={[any, ...projects.map(({ id, name }) => ({ value: id, label: name }))]}
            onChoose={(value) => onFilter({ ...filter, project: one(value) })}
          />
        )}
      </Field>
      <Field label={gallery.model}>
        {(given) => (
          <Select
            {...given}
            value={filter.made ?? ANY}
            choices={withOwn(filter.made, [
              any,
              ...models.map(({ id, title }) => ({ value: id, label: title })),
              ...providers.map((name) => ({
                value: `provider:${name}`,
                label: gallery.everythingBy(name),
              })),
            ])}
            onChoose={(value) => onFilter({ ...filter, made: one(value) })}
          />
        )}
      </Field>
      <Field label={gallery.batch}>
        {(given) => (
          <Select
            {...given}
            value={filter.batch ? String(filter.batch) : ANY}
            choices={withOwn(filter.batch && String(filter.batch), [
              any,
              ...batches.map(({ id, prompt, created_at }) => ({
                value: String(id),
                label: prompt || gallery.batchNumber(String(id)),
                detail: format.since(created_at),
              })),
            ])}
            onChoose={(value) => onFilter({ ...filter, batch: Number(one(value)) || undefined })}
          />
        )}
      </Field>
      <div className="grid grid-cols-2 gap-2">
        {(['from', 'to'] as const).map((end) => (
          <Field key={end} label={gallery[end]}>
            {(given) => (
              <Input
                {...given}
                type="date"
                value={filter[end] ?? ''}
                onChange={(event) =>
                  onFilter({ ...filter, [end]: event.target.value || undefined })
                }
              />
            )}
          </Field>
        ))}
      </div>
      <Button onClick={() => onFilter({})}>{gallery.clearFilters}</Button>
    </div>
  )
}

/** A value that the address names and no list knows is a choice all the same. */
function withOwn(value: string | undefined | 0, choices: Choice[]): Choice[] {
  if (!value || choices.some((choice) => choice.value === value)) return choices
  return [...choices, { value, label: value }]
}
