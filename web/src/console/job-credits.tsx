import type { LedgerEntry } from '@/api/operator-rows'
import { useWords } from '@/words'
import { Entries } from './entries'
import { Nothing, Title } from './pieces'

/** What a job held, spent and gave back. */
export function JobCredits({ entries }: { entries: LedgerEntry[] }) {
  const { console: told } = useWords()
  return (
    <section className="flex flex-col gap-2">
      <Title>{told.job.entries}</Title>
      {entries.length === 0 ? (
        <Nothing>{told.job.noEntries}</Nothing>
      ) : (
        <Entries entries={entries} label={told.job.entries} />
      )}
    </section>
  )
}
