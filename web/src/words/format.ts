/** How numbers and times are written in a language. */
export interface Format {
  number: (value: number) => string
  percent: (value: number) => string
  day: (when: string) => string
  moment: (when: string) => string
  /** "3 minutes ago", by the clock `now` (milliseconds). */
  since: (when: string, now?: number) => string
  bytes: (count: number) => string
}

const STEPS: [Intl.RelativeTimeFormatUnit, number][] = [
  ['year', 31_536_000],
  ['month', 2_592_000],
  ['day', 86_400],
  ['hour', 3600],
  ['minute', 60],
]

export function formatOf(locale: string): Format {
  const number = new Intl.NumberFormat(locale)
  const percent = new Intl.NumberFormat(locale, { style: 'percent' })
  const day = new Intl.DateTimeFormat(locale, { dateStyle: 'medium' })
  const moment = new Intl.DateTimeFormat(locale, { dateStyle: 'medium', timeStyle: 'short' })
  const ago = new Intl.RelativeTimeFormat(locale, { numeric: 'auto' })
  const size = new Intl.NumberFormat(locale, { maximumFractionDigits: 1 })
  return {
    number: (value) => number.format(value),
    percent: (value) => percent.format(value),
    // A day without a time is that day everywhere.
    day: (when) => day.format(new Date(when.length === 10 ? `${when}T00:00` : when)),
    moment: (when) => moment.format(new Date(when)),
    since: (when, now = Date.now()) => {
      const seconds = Math.round((Date.parse(when) - now) / 1000)
      const step = STEPS.find(([, length]) => Math.abs(seconds) >= length)
      return step ? ago.format(Math.trunc(seconds / step[1]), step[0]) : ago.format(0, 'second')
    },
    bytes: (count) => {
      const power = Math.min(3, Math.floor(Math.log(Math.max(1, count)) / Math.log(1024)))
      return `${size.format(count / 1024 ** power)} ${['B', 'KB', 'MB', 'GB'][power]}`
    },
  }
}
