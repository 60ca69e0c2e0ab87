/**
 * Why did the server not do it?
 *
 * Each of its doors says so in a shape of its own; here it is one: a stable `code`, a sentence, a
 * hint, and the details of its kind. `code` is `offline` when no answer came at all.
 */
export class Refusal extends Error {
  constructor(
    readonly code: string,
    message: string,
    readonly status = 0,
    readonly hint: string | null = null,
    readonly details: Record<string, unknown> = {},
    /** Seconds after which the server wants to be asked again, if it told. */
    readonly retrySeconds: number | null = null,
  ) {
    super(message)
  }

  /** Whether the same request may do better later. */
  get isPassing(): boolean {
    // The first request with a key may still be running when it is sent once more.
    const isRunning = this.code === 'idempotency_key_in_use'
    return this.code === 'offline' || this.status >= 500 || this.status === 429 || isRunning
  }
}

interface Answered {
  data: unknown
  error: unknown
}

/** The data of an answer of supabase-js, or its error thrown as a Refusal. */
export async function dataOf<T>(asked: PromiseLike<Answered>): Promise<T> {
  const { data, error } = await asked
  if (error) throw await refusalOf(error)
  return data as T
}

export async function refusalOf(error: unknown): Promise<Refusal> {
  if (error instanceof Refusal) return error
  const told = (error ?? {}) as Record<string, unknown>
  if (told.context instanceof Response) return fromFunction(told.context)
  const message = String(told.message ?? error)
  const status = Number(told.status ?? told.statusCode ?? 0)
  const isAway = told.name === 'FunctionsFetchError' || told.name === 'AuthRetryableFetchError'
  if (isAway || (status === 0 && /fetch|network|load failed|timed out|abort/i.test(message)))
    return new Refusal('offline', message)
  const hint = typeof told.hint === 'string' ? told.hint : null
  return new Refusal(String(told.code ?? told.error ?? 'unknown'), message, status, hint)
}

async function fromFunction(answer: Response): Promise<Refusal> {
  const body = (await answer
    .clone()
    .json()
    .catch(() => ({}))) as Record<string, unknown>
  const message = String(body.error ?? body.message ?? answer.statusText)
  const hint = typeof body.hint === 'string' ? body.hint : null
  const told = Number(answer.headers.get('retry-after') ?? Number.NaN)
  const retrySeconds = Number.isFinite(told) ? told : null
  const code = String(body.code ?? 'unknown')
  return new Refusal(code, message, answer.status, hint, body, retrySeconds)
}
