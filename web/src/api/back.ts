/**
 * When may something have been missed?
 *
 * When the network is back, when the page is looked at again, when it comes out of the browser's
 * freezer, and when the clock has jumped: a machine that slept says nothing of it.
 */
const TICK_MS = 5_000
const ASLEEP_MS = 20_000

const listeners = new Set<() => void>()
let last = 0
let timer: ReturnType<typeof setInterval> | undefined

/** Calls `tell` each time, until the function it returns is called. */
export function whenBack(tell: () => void): () => void {
  if (listeners.size === 0) listen()
  listeners.add(tell)
  return () => {
    listeners.delete(tell)
    if (listeners.size === 0) leave()
  }
}

function back(): void {
  for (const tell of [...listeners]) tell()
}

function onVisible(): void {
  if (document.visibilityState === 'visible') back()
}

function onShown(event: PageTransitionEvent): void {
  if (event.persisted) back()
}

function tick(): void {
  const now = Date.now()
  if (now - last > ASLEEP_MS && document.visibilityState === 'visible') back()
  last = now
}

function listen(): void {
  last = Date.now()
  timer = setInterval(tick, TICK_MS)
  window.addEventListener('online', back)
  window.addEventListener('pageshow', onShown)
  document.addEventListener('resume', back)
  document.addEventListener('visibilitychange', onVisible)
}

function leave(): void {
  clearInterval(timer)
  window.removeEventListener('online', back)
  window.removeEventListener('pageshow', onShown)
  document.removeEventListener('resume', back)
  document.removeEventListener('visibilitychange', onVisible)
}
