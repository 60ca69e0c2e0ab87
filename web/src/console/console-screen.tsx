import { Link, type LinkProps, Outlet, useLocation } from '@tanstack/react-router'
import {
  Activity,
  Box,
  Database,
  HeartPulse,
  KeyRound,
  ListChecks,
  type LucideIcon,
  ScrollText,
  Server,
  Skull,
  UsersRound,
  Wallet,
} from 'lucide-react'
import { useEffect, useRef } from 'react'
import { dropKey, useHoldsKey, useMayOperate } from '@/api/operator'
import { Button } from '@/ui/button'
import { classes } from '@/ui/classes'
import { useWords } from '@/words'
import { Closed } from './closed'

/** How the server does, for whoever runs it: the way to every part, and the part. */
export function ConsoleScreen() {
  if (!useMayOperate()) return <Closed />
  return (
    <div className="flex h-full min-h-0 flex-col lg:flex-row">
      <Parts />
      <div className="min-h-0 min-w-0 flex-1">
        <Outlet />
      </div>
    </div>
  )
}

function Parts() {
  const { console: told } = useWords()
  const holdsKey = useHoldsKey()
  const { parts } = told
  const path = useLocation({ select: (location) => location.pathname })
  const shelf = useRef<HTMLElement>(null)

  // In a narrow window the parts stand side by side, and the one that is open may be out of sight.
  useEffect(() => {
    shelf.current?.querySelector('[data-status=active]')?.scrollIntoView({
      block: 'nearest',
      inline: 'center',
    })
  }, [path])

  return (
    <nav
      ref={shelf}
      aria-label={told.title}
      className={classes(
        'flex shrink-0 gap-1 overflow-x-auto border-line bg-surface px-2 py-2',
        'max-lg:border-b lg:w-48 lg:flex-col lg:overflow-y-auto lg:border-r lg:px-3 lg:py-6',
      )}
    >
      <p className="px-2 pb-2 text-xs font-semibold text-faint max-lg:hidden">{told.title}</p>
      <Part to="/console" icon={Activity} label={parts.overview} />
      <Part to="/console/jobs" icon={ListChecks} label={parts.jobs} />
      <Part to="/console/failures" icon={Skull} label={parts.failures} />
      <Part to="/console/providers" icon={HeartPulse} label={parts.providers} />
      <Part to="/console/models" icon={Box} label={parts.models} />
      <Part to="/console/workers" icon={Server} label={parts.workers} />
      <Part to="/console/users" icon={UsersRound} label={parts.users} />
      <Part to="/console/ledger" icon={Wallet} label={parts.ledger} />
      <Part to="/console/storage" icon={Database} label={parts.storage} />
      <Part to="/console/logs" icon={ScrollText} label={parts.logs} />
      {holdsKey && (
        <Button size="small" look="quiet" icon={KeyRound} className="lg:mt-4" onClick={dropKey}>
          {told.dropKey}
        </Button>
      )}
    </nav>
  )
}

interface PartProps {
  to: LinkProps['to']
  icon: LucideIcon
  label: string
}

function Part({ to, icon: Icon, label }: PartProps) {
  return (
    <Link
      to={to}
      activeOptions={{ exact: to === '/console', includeSearch: false }}
      className={classes(
        'flex h-8 shrink-0 items-center gap-2 rounded-md px-2 text-sm font-medium whitespace-nowrap',
        'text-quiet transition-colors hover:bg-raised hover:text-ink',
        'data-[status=active]:bg-accent-soft data-[status=active]:text-accent-strong',
      )}
    >
      <Icon aria-hidden className="size-4 shrink-0" strokeWidth={1.6} />
      {label}
    </Link>
  )
}
