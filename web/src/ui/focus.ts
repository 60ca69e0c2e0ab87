/** Where does the focus go when what it was in closes? Back to where it came from. */
import { useState } from 'react'

const SHELTER = 'main'

/**
 * For a component that is there only while its dialog is open: what to do when that closes.
 * `returnTo` finds the place where it is another than the one that opened the dialog.
 */
export function useReturn(returnTo?: () => HTMLElement | null | undefined) {
  const [opener] = useState(() => openerOf(document.activeElement))
  return (event: Event) => {
    event.preventDefault()
    const place = returnTo?.() ?? opener
    const there = place?.isConnected ? place : document.getElementById(SHELTER)
    there?.focus()
  }
}

/** A line of a menu goes with its menu, and the menu's button stays. */
function openerOf(active: Element | null): HTMLElement | null {
  const button = active?.closest('[role="menu"]')?.getAttribute('aria-labelledby')
  const opener = button ? document.getElementById(button) : active
  return opener instanceof HTMLElement && opener !== document.body ? opener : null
}
