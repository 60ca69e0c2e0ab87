/** Says something in passing. What shows it is loaded after the page, and waited for. */
import type { ExternalToast } from 'sonner'

type Say = (message: string, options?: ExternalToast) => void
type Kind = 'success' | 'warning' | 'error'

const say =
  (kind?: Kind): Say =>
  (message, options) =>
    void import('sonner').then(({ toast: show }) =>
      kind ? show[kind](message, options) : show(message, options),
    )

export const toast = Object.assign(say(), {
  success: say('success'),
  warning: say('warning'),
  error: say('error'),
})
