/** How long is it, and when was it to the second? */
import { useMemo } from 'react'
import { useLocale } from '@/words'

export interface Lengths {
  /** "240 ms", "12.3 s", "3 min 12 s", "2 h 5 min"; a dash for null. */
  length: (seconds: number | null) => string
  /** From one time to another. */
  between: (from: string, to: string) => string
  /** The time of day, to the second. */
  clock: (when: string) => string
  /** The time of day, to the minute. */
  minute: (when: string) => string
  /** Day and time, to the second. */
  instant: (when: string) => string
}

export const secondsBetween = (from: string, to: string) =>
  Math.max(0, (Date.parse(to) - Date.parse(from)) / 1000)

export function lengthsOf(locale: string): Lengths {
  const of = (unit: string, digits = 0) => {
    const written = new Intl.NumberFormat(locale, {
      style: 'unit',
      unit,
      unitDisplay: 'short',
      maximumFractionDigits: digits,
    })
    return (value: number) => written.format(value)
  }
  const [milliseconds, tenths, seconds] = [of('millisecond'), of('second', 1), of('second')]
  const [minutes, hours, days] = [of('minute'), of('hour'), of('day')]
  const minute = new Intl.DateTimeFormat(locale, { timeStyle: 'short' })
  const clock = new Intl.DateTimeFormat(locale, { timeStyle: 'medium' })
  const instant = new Intl.DateTimeFormat(locale, { dateStyle: 'short', timeStyle: 'medium' })
  const length = (value: number | null) => {
    if (value === null) return '–'
    if (value < 0.9995) return milliseconds(value * 1000)
    if (value < 59.95) return tenths(value)
    const whole = Math.round(value)
    const two = (first: string, rest: string, left: number) => (left ? `${first} ${rest}` : first)
    if (whole < 3600)
      return two(minutes(Math.floor(whole / 60)), seconds(whole % 60), Math.floor(whole % 60))
    const left = Math.floor((whole % 3600) / 60)
    if (whole < 86_400) return two(hours(Math.floor(whole / 3600)), minutes(left), left)
    const rest = Math.floor((whole % 86_400) / 3600)
    return two(days(Math.floor(whole / 86_400)), hours(rest), rest)
  }
  return {
    length,
    between: (from, to) => length(secondsBetween(from, to)),
    clock: (when) => clock.format(new Date(when)),
    minute: (when) => minute.format(new Date(when)),
    instant: (when) => instant.format(new Date(when)),
  }
}

export function useLengths(): Lengths {
  const locale = useLocale()
  return useMemo(() => lengthsOf(locale), [locale])
}
