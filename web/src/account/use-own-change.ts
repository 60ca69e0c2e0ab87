import { useState } from 'react'
import { refusalOf } from '@/api/refusal'
import { changeOwn } from '@/api/session'
import { useSentence } from '@/shell/sentence'
import { useWords } from '@/words'

type Changes = Parameters<typeof changeOwn>[0]

/** Changes the own account, one change at a time: whether one is under way, and why it failed. */
export function useOwnChange() {
  const { account } = useWords()
  const sentence = useSentence()
  const [wrong, setWrong] = useState<string | null>(null)
  const [busy, setBusy] = useState(false)

  async function change(changes: Changes, done: () => void) {
    if (busy) return
    setBusy(true)
    setWrong(null)
    try {
      await changeOwn(changes)
      done()
    } catch (error) {
      const refusal = await refusalOf(error)
      setWrong(account.refusals[refusal.code] ?? sentence(refusal))
    }
    setBusy(false)
  }

  return { change, wrong, busy }
}
