/** Small things that several parts of the console show. */
import { Link } from '@tanstack/react-router'
import type { ReactNode } from 'react'
import { Badge, type Tone } from '@/ui/badge'
import { classes } from '@/ui/classes'
import { Segments } from '@/ui/segments'
import { useWords } from '@/words'

const TONES: Record<string, Tone> = {
  processing: 'accent',
  completed: 'good',
  failed: 'bad',
  canceled: 'warn',
}

export function JobStatus({ status }: { status: string }) {
  const { rows } = useWords()
  return <Badge tone={TONES[status] ?? 'plain'}>{rows.statuses[status] ?? status}</Badge>
}

/** An id is known by its end: its beginning is the time it was made. */
export const shortId = (id: string) => id.slice(-8)

export const LINK =
  'rounded-sm font-medium text-ink underline decoration-line underline-offset-4 hover:decoration-accent'

interface JobLinkProps {
  id: string
  className?: string
  children?: ReactNode
}

export function JobLink({ id, className, children }: JobLinkProps) {
  return (
    <Link to="/console/jobs/$jobId" params={{ jobId: id }} className={classes(LINK, className)}>
      {children ?? <code className="font-mono text-xs">{shortId(id)}</code>}
    </Link>
  )
}

export function UserLink({ id, email }: { id: string; email: string | null }) {
  return (
    <Link to="/console/users/$userId" params={{ userId: id }} className={LINK}>
      {email ?? <code className="font-mono text-xs">{shortId(id)}</code>}
    </Link>
  )
}

interface FigureProps {
  label: string
  value: ReactNode
  about?: ReactNode
  tone?: 'good' | 'bad' | 'warn'
}

const INKS = { good: 'text-good', bad: 'text-bad', warn: 'text-warn' }

/** One number that is looked at from afar. */
export function Figure({ label, value, about, tone }: FigureProps) {
  return (
    <div className="flex flex-col rounded-lg border border-line bg-surface px-4 py-3">
      <dt className="text-xs font-medium text-quiet">{label}</dt>
      <dd className={`mt-0.5 text-xl font-semibold tabular-nums ${tone ? INKS[tone] : ''}`}>
        {value}
      </dd>
      {about && <dd className="text-xs text-faint">{about}</dd>}
    </div>
  )
}

interface WindowProps {
  minutes: number
  choices: Record<string, string>
  onChoose: (minutes: number) => void
}

/** How far back is looked. */
export function Window({ minutes, choices, onChoose }: WindowProps) {
  const { console: told } = useWords()
  return (
    <Segments
      label={told.window}
      value={String(minutes)}
      choices={Object.entries(choices).map(([value, label]) => ({ value, label }))}
      onChoose={(value) => onChoose(Number(value))}
      className="whitespace-nowrap *:flex-auto"
    />
  )
}

export function Truncated({ count, when }: { count: string; when: boolean }) {
  const { console: told } = useWords()
  return when ? <p className="text-xs text-faint">{told.truncated(count)}</p> : null
}

export function Title({ children, aside }: { children: ReactNode; aside?: ReactNode }) {
  return (
    <header className="flex flex-wrap items-center gap-2">
      <h2 className="min-w-0 flex-1 text-sm font-semibold">{children}</h2>
      {aside}
    </header>
  )
}

/** What stands in a section that has no rows. */
export function Nothing({ children }: { children: ReactNode }) {
  return (
    <p className="rounded-lg border border-dashed border-line px-4 py-6 text-center text-sm text-quiet">
      {children}
    </p>
  )
}
