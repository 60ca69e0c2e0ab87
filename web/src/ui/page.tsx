import type { ReactNode } from 'react'
import { useTitle } from './title'

interface PageProps {
  title: string
  about?: ReactNode
  /** Buttons and filters at the right of the title. */
  actions?: ReactNode
  children: ReactNode
}

/** A screen that is read from top to bottom: its title, its actions, its content. */
export function Page({ title, about, actions, children }: PageProps) {
  useTitle(title)
  return (
    <div className="h-full overflow-y-auto" data-scroll-root>
      <div className="mx-auto flex max-w-6xl flex-col gap-5 px-4 py-6 sm:px-8">
        <header className="flex flex-wrap items-end gap-x-4 gap-y-3">
          <div className="min-w-0 flex-1">
            <h1 className="text-xl font-semibold tracking-tight">{title}</h1>
            {about && <p className="mt-1 text-sm text-quiet">{about}</p>}
          </div>
          {actions && <div className="flex flex-wrap items-center gap-2">{actions}</div>}
        </header>
        {children}
      </div>
    </div>
  )
}
