import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { cache } from './api/cache'
import { connect } from './api/client'
import { followSession } from './api/session'
import { router } from './routes'
import { followTheme } from './shell/theme'
import { Away } from './shell/troubles'
import { TooltipProvider } from './ui/tooltip'
import { speak } from './words'
import './ui/tokens.css'

/** Names the build that asked for what is gone: the same one would ask for it again. */
const STARTED_ANEW = 'tintype.started-anew'

const root = createRoot(document.getElementById('root') as HTMLElement)

// A tab that was open over an update asks for parts of the app that are gone: it starts anew, once.
window.addEventListener('vite:preloadError', (event) => {
  if (sessionStorage.getItem(STARTED_ANEW) === import.meta.url) return
  sessionStorage.setItem(STARTED_ANEW, import.meta.url)
  event.preventDefault()
  window.location.reload()
})

const connecting = connect()

async function start(): Promise<void> {
  followTheme()
  // Spoken before anything can fail, so that it is told in the reader's language.
  await Promise.allSettled([speak(), connecting])
  await connecting
  await followSession()
  root.render(
    <StrictMode>
      <QueryClientProvider client={cache}>
        <TooltipProvider>
          <RouterProvider router={router} />
        </TooltipProvider>
      </QueryClientProvider>
    </StrictMode>,
  )
}

start().catch((error: unknown) => root.render(<Away reason={String(error)} />))
