import { QueryClient } from '@tanstack/react-query'
import { Refusal } from './refusal'

const RETRIES_MAX = 3

/** Everything that was read from the server. It is emptied when somebody else signs in. */
export const cache = new QueryClient({
  defaultOptions: {
    queries: {
      staleTime: 15_000,
      retry: (count, error) => {
        const mayPass = !(error instanceof Refusal) || error.isPassing
        return mayPass && count < RETRIES_MAX
      },
    },
  },
})
