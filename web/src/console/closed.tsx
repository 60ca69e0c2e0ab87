import { KeyRound, Lock } from 'lucide-react'
import { type FormEvent, useState } from 'react'
import { holdKey } from '@/api/operator'
import { refusalOf } from '@/api/refusal'
import { Button } from '@/ui/button'
import { Field, Input } from '@/ui/field'
import { Empty } from '@/ui/states'
import { useWords } from '@/words'

/** What stands here for everybody else; whoever has the service key may come in with it. */
export function Closed() {
  const { console: told } = useWords()
  const [key, setKey] = useState('')
  const [wrong, setWrong] = useState<string | null>(null)
  const [isBusy, setBusy] = useState(false)

  async function open(event: FormEvent) {
    event.preventDefault()
    setBusy(true)
    setWrong(null)
    try {
      await holdKey(key.trim())
    } catch (error) {
      setWrong((await refusalOf(error)).message)
      setBusy(false)
    }
  }

  return (
    <div className="flex h-full flex-col items-center justify-center overflow-y-auto">
      <h1 className="sr-only">{told.title}</h1>
      <Empty
        icon={Lock}
        title={told.closed}
        about={told.closedAbout}
        action={
          <form onSubmit={open} className="flex w-80 flex-col gap-3 text-left">
            <Field label={told.serviceKey} hint={told.serviceKeyHint} wrong={wrong}>
              {(given) => (
                <Input
                  {...given}
                  type="password"
                  autoComplete="off"
                  spellCheck={false}
                  value={key}
                  onChange={(event) => setKey(event.target.value)}
                />
              )}
            </Field>
            <Button type="submit" icon={KeyRound} busy={isBusy} disabled={!key.trim()}>
              {told.open}
            </Button>
          </form>
        }
      />
    </div>
  )
}
