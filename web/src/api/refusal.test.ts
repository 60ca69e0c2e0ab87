import { expect, test } from 'vitest'
import { Refusal, refusalOf } from './refusal'

const answer = (status: number, body: object, headers: Record<string, string> = {}) => ({
  context: new Response(JSON.stringify(body), { status, headers }),
})

test('no answer is a matter of the network, however it is put', async () => {
  for (const message of ['Failed to fetch', 'TimeoutError: signal timed out', 'Load failed'])
    expect(await refusalOf({ message })).toMatchObject({ code: 'offline', isPassing: true })
})

test('the server tells when it wants to be asked again', async () => {
  const busy = await refusalOf(answer(429, { code: 'rate_limited' }, { 'retry-after': '7' }))
  expect(busy).toMatchObject({ code: 'rate_limited', retrySeconds: 7, isPassing: true })
  expect(await refusalOf(answer(500, {}))).toMatchObject({ retrySeconds: null, isPassing: true })
})

test('a request that is still being answered passes; what is refused for good does not', () => {
  expect(new Refusal('idempotency_key_in_use', '', 409).isPassing).toBe(true)
  expect(new Refusal('idempotency_key_reused', '', 422).isPassing).toBe(false)
  expect(new Refusal('insufficient_credits', '', 402).isPassing).toBe(false)
})
