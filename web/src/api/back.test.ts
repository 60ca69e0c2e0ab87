import { afterEach, beforeEach, expect, test, vi } from 'vitest'
import { whenBack } from './back'

// As much of a page as it listens to.
const page = Object.assign(new EventTarget(), { visibilityState: 'visible' })
const frame = new EventTarget()

beforeEach(() => {
  vi.useFakeTimers({ now: 1_000_000 })
  vi.stubGlobal('document', page)
  vi.stubGlobal('window', frame)
})

afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

test('a machine that slept is noticed by its clock', () => {
  const told = vi.fn()
  const stop = whenBack(told)
  vi.advanceTimersByTime(60_000)
  expect(told).not.toHaveBeenCalled()
  // An hour passes while no timer runs.
  vi.setSystemTime(Date.now() + 3_600_000)
  vi.advanceTimersByTime(5_000)
  expect(told).toHaveBeenCalledTimes(1)
  stop()
  expect(vi.getTimerCount()).toBe(0)
})

test('the network, the freezer and a look at the page tell of it, until nobody listens', () => {
  const told = vi.fn()
  const stop = whenBack(told)
  frame.dispatchEvent(new Event('online'))
  page.dispatchEvent(new Event('resume'))
  page.dispatchEvent(new Event('visibilitychange'))
  expect(told).toHaveBeenCalledTimes(3)
  page.visibilityState = 'hidden'
  page.dispatchEvent(new Event('visibilitychange'))
  expect(told).toHaveBeenCalledTimes(3)
  page.visibilityState = 'visible'
  stop()
  frame.dispatchEvent(new Event('online'))
  expect(told).toHaveBeenCalledTimes(3)
})
