import { useWords, type Words } from '@/words'

/** What the model itself says about these tells more than we can. */
const TELLING: readonly string[] = ['refused', 'invalid']

interface ReasonProps {
  code: string | null
  message: string | null
}

/** Why a job failed, and what to do. */
export default function Reason({ code, message }: ReasonProps) {
  const { failures } = useWords()
  const said = sentenceOf(failures, code, message)
  return (
    <>
      <p>{said}</p>
      {code && TELLING.includes(code) && message !== said && <p className="mt-1">{message}</p>}
    </>
  )
}

export const sentenceOf = (
  failures: Words['failures'],
  code: string | null,
  message: string | null,
): string | null => (code ? failures[code] : undefined) ?? message ?? code
