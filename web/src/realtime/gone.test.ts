import { expect, test } from 'vitest'
import { bury, living } from './gone'

test('a reading that was under way does not bring back what was deleted meanwhile', () => {
  const read = [{ id: 'a' }, { id: 'b' }, { id: 7 }]
  expect(living('jobs', read)).toBe(read)
  bury('jobs', 'b')
  bury('jobs', '7')
  expect(living('jobs', read)).toEqual([{ id: 'a' }])
  expect(living('batches', read)).toBe(read)
})

test('only so many are remembered, the latest', () => {
  for (let number = 0; number < 6000; number += 1) bury('steps', String(number))
  expect(living('steps', [{ id: 0 }, { id: 5999 }])).toEqual([{ id: 0 }])
})
