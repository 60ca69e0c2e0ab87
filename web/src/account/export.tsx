import { FileDown } from 'lucide-react'
import { useState } from 'react'
import { keep } from '@/api/pictures'
import { allEntries, isTraining, type ToldEntry } from '@/api/statement'
import { useSentence } from '@/shell/sentence'
import { Button } from '@/ui/button'
import { toast } from '@/ui/toast'
import { useWords } from '@/words'
import { csvOf } from './csv'
import type { EntryKind } from './statement'

/** Saves the whole statement, or all entries of the kind that is shown. */
export function Export({ kind }: { kind: EntryKind | undefined }) {
  const { account: told, rows } = useWords()
  const sentence = useSentence()
  const [busy, setBusy] = useState(false)

  const why = ({ job, note, reference }: ToldEntry): string => {
    if (!job) return note ?? reference ?? ''
    if (!isTraining(job)) return job.prompt ?? ''
    return job.identityName ? told.trainingOf(job.identityName) : told.trainingOfGone
  }

  async function save() {
    setBusy(true)
    try {
      const heads = [told.when, told.what, told.amount, told.settledChange, told.why, told.job]
      const table = csvOf(await allEntries(kind), heads, {
        kind: (entry) => rows.entries[entry.kind] ?? entry.kind,
        why,
      })
      const day = new Date().toISOString().slice(0, 10)
      keep(new Blob([table], { type: 'text/csv' }), `tintype-${told.file}-${day}.csv`)
    } catch (error) {
      toast.error(sentence(error))
    }
    setBusy(false)
  }

  return (
    <Button icon={FileDown} size="small" busy={busy} onClick={() => void save()}>
      {told.save}
    </Button>
  )
}
