import { Outlet, useNavigate, useRouter } from '@tanstack/react-router'
import { WifiOff } from 'lucide-react'
import { lazy, Suspense, useEffect, useSyncExternalStore } from 'react'
import { hasLapsed, useUser } from '@/api/session'
import { useWords } from '@/words'
import { Navigation } from './navigation'
import { useTheme } from './theme'

const Toaster = lazy(() => import('@/ui/toaster'))

/** What stands around every screen of somebody who is signed in. */
export function Frame() {
  const { shell } = useWords()
  const theme = useTheme()
  const user = useUser()
  const navigate = useNavigate()
  const router = useRouter()
  useEffect(() => {
    if (user) return
    // Whoever is sent away in the middle of something comes back to it.
    const to = hasLapsed() ? router.state.location.href : undefined
    void navigate({ to: '/sign-in', search: { to } })
  }, [user, navigate, router])
  if (!user) return null
  return (
    <div className="flex h-full flex-col-reverse sm:flex-row">
      <a
        href="#main"
        className="sr-only z-60 rounded-md bg-accent px-3 py-2 text-accent-ink focus:not-sr-only focus:absolute focus:top-2 focus:left-2"
      >
        {shell.skip}
      </a>
      <Navigation />
      <div className="flex min-h-0 min-w-0 flex-1 flex-col">
        <Offline />
        <main id="main" tabIndex={-1} className="min-h-0 flex-1 outline-none">
          <Outlet />
        </main>
      </div>
      <Suspense>
        <Toaster theme={theme} label={shell.notifications} />
      </Suspense>
    </div>
  )
}

function Offline() {
  const { shell } = useWords()
  const isOnline = useSyncExternalStore(listen, () => navigator.onLine)
  return (
    <div role="status">
      {!isOnline && (
        <p className="flex items-center gap-2 bg-warn-soft px-4 py-1.5 text-sm text-warn">
          <WifiOff aria-hidden className="size-4" strokeWidth={1.75} />
          {shell.offline}
        </p>
      )}
    </div>
  )
}

function listen(tell: () => void): () => void {
  window.addEventListener('online', tell)
  window.addEventListener('offline', tell)
  return () => {
    window.removeEventListener('online', tell)
    window.removeEventListener('offline', tell)
  }
}
