import { Link, type LinkProps } from '@tanstack/react-router'
import type { LucideIcon } from 'lucide-react'
import { Coins, Gauge, Images, Layers, UserRound, Workflow } from 'lucide-react'
import { useCredits } from '@/api/credits'
import { useIsOperator } from '@/api/session'
import { classes } from '@/ui/classes'
import { Tooltip } from '@/ui/tooltip'
import { useFormat, useWords } from '@/words'
import { Mark } from './mark'
import { PersonMenu } from './person-menu'

/** The way to every screen: a rail at the left, a bar at the foot of a narrow window. */
export function Navigation() {
  const { shell } = useWords()
  const isOperator = useIsOperator()
  return (
    <nav
      aria-label={shell.navigation}
      className={classes(
        'flex shrink-0 items-center border-line bg-surface',
        'h-14 w-full justify-between border-t px-1',
        'sm:h-full sm:w-[76px] sm:flex-col sm:justify-start sm:gap-1 sm:border-t-0 sm:border-r sm:px-0 sm:py-3',
      )}
    >
      <Mark className="mb-3 hidden size-7 text-accent sm:block" />
      <Way to="/" icon={Workflow} label={shell.editor} isHome />
      <Way to="/gallery" icon={Images} label={shell.gallery} />
      <Way to="/batches" icon={Layers} label={shell.batches} />
      <Way to="/identities" icon={UserRound} label={shell.identities} />
      {isOperator && <Way to="/console" icon={Gauge} label={shell.console} />}
      <div className="hidden flex-1 sm:block" />
      <CreditsPill />
      <PersonMenu />
    </nav>
  )
}

interface WayProps {
  to: LinkProps['to']
  icon: LucideIcon
  label: string
  /** Its screen is found below another path than its own. */
  isHome?: boolean
}

function Way({ to, icon: Icon, label, isHome }: WayProps) {
  const look = (isActive: boolean) =>
    classes(
      'flex flex-col items-center justify-center gap-0.5 rounded-lg text-2xs font-medium',
      'h-12 min-w-12 px-1 transition-colors sm:h-[52px] sm:w-16',
      isActive ? 'bg-accent-soft text-accent-strong' : 'text-quiet hover:bg-raised hover:text-ink',
    )
  return (
    <Link to={to} className="rounded-lg" aria-label={label}>
      {({ isActive }) => {
        const isHere = isHome ? location.pathname.startsWith('/p/') : isActive
        return (
          <span className={look(isHere)}>
            <Icon aria-hidden className="size-5" strokeWidth={1.6} />
            {label}
          </span>
        )
      }}
    </Link>
  )
}

function CreditsPill() {
  const { shell } = useWords()
  const format = useFormat()
  const account = useCredits().data
  const available = format.number(account?.available ?? 0)
  const says = account?.held
    ? `${shell.available(available)} · ${shell.held(format.number(account.held))}`
    : shell.available(available)
  return (
    <Tooltip says={says} side="right">
      <Link
        to="/credits"
        aria-label={says}
        className="flex h-12 min-w-12 flex-col items-center justify-center gap-0.5 rounded-lg text-2xs font-medium text-quiet transition-colors hover:bg-raised hover:text-ink sm:h-[52px] sm:w-16"
      >
        <Coins aria-hidden className="size-5" strokeWidth={1.6} />
        <span className="tabular-nums" data-testid="credits-available">
          {available}
        </span>
      </Link>
    </Tooltip>
  )
}
