import { describe, expect, test } from 'vitest'
import {
  begun,
  missingOf,
  PHOTO_BYTES_MAX,
  troubleOfFile,
  troubleOfSize,
  withDuplicates,
} from './photos'

const JPEG = Uint8Array.of(0xff, 0xd8, 0xff, 0xe0, 0, 0, 0, 0)
const PNG = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a)
const photo = (name: string, print: string) => ({ ...begun(new File([], name)), print })

describe('a photo', () => {
  test('is what its bytes say, whatever it is called', () => {
    expect(troubleOfFile(JPEG, 100)).toBeNull()
    expect(troubleOfFile(PNG, PHOTO_BYTES_MAX)).toBeNull()
    expect(troubleOfFile(new TextEncoder().encode('<svg xml'), 100)).toBe('kind')
    expect(troubleOfFile(PNG.slice(0, 4), 4)).toBe('kind')
    expect(troubleOfFile(new TextEncoder().encode('\0\0\0\x18ftypheic'), 100)).toBe('heic')
    expect(troubleOfFile(JPEG, PHOTO_BYTES_MAX + 1)).toBe('large')
  })

  test('is neither too small nor too large', () => {
    expect(troubleOfSize(256, 4000)).toBeNull()
    expect(troubleOfSize(255, 4000)).toBe('small')
    expect(troubleOfSize(10_000, 5001)).toBe('pixels')
  })
})

describe('a set of photos', () => {
  test('counts the same photo once, until the other one goes', () => {
    const photos = withDuplicates([photo('a', '1'), photo('b', '2'), photo('c', '1')])
    expect(photos.map((one) => one.hint)).toEqual([null, null, 'duplicate'])
    expect(missingOf(photos)).toBe(1)
    expect(withDuplicates(photos.slice(1)).map((one) => one.hint)).toEqual([null, null])
  })

  test('that were not read yet are not taken for one', () => {
    expect(withDuplicates([photo('a', ''), photo('b', '')]).map((one) => one.hint)).toEqual([
      null,
      null,
    ])
  })

  test('lacks what cannot be sent', () => {
    expect(missingOf([])).toBe(3)
    expect(missingOf([{ ...photo('a', '1'), trouble: 'kind' }, photo('b', '2')])).toBe(2)
  })
})
