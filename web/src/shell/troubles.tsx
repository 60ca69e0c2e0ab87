import { type ErrorComponentProps, Link } from '@tanstack/react-router'
import { Compass } from 'lucide-react'
import { Button } from '@/ui/button'
import { Empty, Failed } from '@/ui/states'
import { useWords } from '@/words'

/** A path that no screen has. */
export function Missing() {
  const { shell } = useWords()
  return (
    <main className="flex h-full items-center justify-center">
      <Empty
        icon={Compass}
        title={shell.missing}
        about={shell.missingAbout}
        action={
          <Link to="/" className="font-medium text-accent underline underline-offset-4">
            {shell.toEditor}
          </Link>
        }
      />
    </main>
  )
}

/** A screen that threw. */
export function Crashed({ error, reset }: ErrorComponentProps) {
  const { shell } = useWords()
  return (
    <Failed
      title={shell.crashed}
      reason={`${shell.crashedAbout} (${error instanceof Error ? error.message : String(error)})`}
      action={<Button onClick={reset}>{shell.retry}</Button>}
    />
  )
}

/** The server cannot be reached at the start. */
export function Away({ reason }: { reason: string }) {
  const { shell } = useWords()
  return (
    <Failed
      title={shell.failed}
      reason={`${shell.away} (${reason})`}
      action={<Button onClick={() => location.reload()}>{shell.retry}</Button>}
    />
  )
}
