import { useEffect } from 'react'

const PRODUCT = document.title

/** Names the page in the tab, in the history and to readers of the screen. */
export function useTitle(title: string | null): void {
  useEffect(() => {
    document.title = title ? `${title} · ${PRODUCT}` : PRODUCT
    return () => {
      document.title = PRODUCT
    }
  }, [title])
}
