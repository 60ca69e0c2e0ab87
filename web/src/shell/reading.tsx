/** What every list says of its own reading: that it failed, and that there is more. */
import { Button } from '@/ui/button'
import { Failed } from '@/ui/states'
import { useWords } from '@/words'
import { useSentence } from './sentence'

interface UnreadProps {
  error: unknown
  onAgain: () => unknown
}

/** What stands where rows could not be read: why, and the way to try again. */
export function Unread({ error, onAgain }: UnreadProps) {
  const { shell } = useWords()
  const sentence = useSentence()
  return (
    <Failed
      title={shell.failed}
      reason={sentence(error)}
      action={<Button onClick={() => void onAgain()}>{shell.retry}</Button>}
    />
  )
}

interface MoreProps {
  /** A list that is read page by page. */
  of: { hasNextPage: boolean; isFetchingNextPage: boolean; fetchNextPage: () => unknown }
}

/** Reads the next page, while there is one. */
export function More({ of }: MoreProps) {
  const { shell } = useWords()
  if (!of.hasNextPage) return null
  return (
    <Button
      className="self-center"
      busy={of.isFetchingNextPage}
      onClick={() => void of.fetchNextPage()}
    >
      {shell.more}
    </Button>
  )
}
