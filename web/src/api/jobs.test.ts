import { expect, test } from 'vitest'
import { requestOf } from './jobs'
import type { Job } from './rows'

const job = (payload: Record<string, unknown>, made = 0): Job =>
  ({
    id: 'one',
    prompt: 'A robot',
    quantity: 4,
    result_count: made,
    project_id: 'project',
    identity_id: null,
    payload,
  }) as unknown as Job

test('what is asked for again is what was not made, as it was asked for', () => {
  const payload = { model: 'sandbox', seed: 7, references: ['storage:uploads/me/canvas/1.png'] }
  expect(requestOf(job(payload, 1))).toMatchObject({
    prompt: 'A robot',
    quantity: 3,
    model: 'sandbox',
    seed: 7,
    imageUrls: ['uploads/me/canvas/1.png'],
  })
})

test("an identity's photos are left to the server, which would show them twice", () => {
  const photos = ['storage:identities/me/anna/images/image_001.png']
  const own = ['storage:uploads/me/canvas/1.png']
  const asked = { ...job({ references: [...photos, ...own] }), identity_id: 'anna' }
  expect(requestOf(asked)).toMatchObject({
    identityId: 'anna',
    imageUrls: ['uploads/me/canvas/1.png'],
  })
  expect(requestOf({ ...asked, payload: { references: photos } }).imageUrls).toBeUndefined()
})

test("a worker's job keeps its seed in its configuration", () => {
  expect(requestOf(job({ config: { seed: 9 } })).seed).toBe(9)
})
