import { describe, expect, test } from 'vitest'
import { bodyOf, PIECE_BYTES } from './train-identity'

const bytes = (count: number) =>
  Uint8Array.from({ length: count }, (_, place) => (place * 31) % 256)

describe('the body of a training', () => {
  test('is the JSON that the server reads, whatever the size of a photo', async () => {
    const sizes = [1, 2, PIECE_BYTES, PIECE_BYTES + 1]
    const photos = sizes.map((size, place) => new File([bytes(size)], `a "${place}".jpg`))
    const body = await bodyOf({ identityName: 'Ana "A"', steps: undefined }, photos, () => {})
    const told = JSON.parse(await body.text())
    expect(told.identityName).toBe('Ana "A"')
    expect(told.imageFiles.map((one: { name: string }) => one.name)).toEqual(
      photos.map((photo) => photo.name),
    )
    for (const [place, size] of sizes.entries()) {
      const data = Buffer.from(told.imageFiles[place].data, 'base64')
      expect(data.equals(bytes(size)), String(size)).toBe(true)
    }
  })

  test('tells how far the reading is, up to all of it', async () => {
    const parts: number[] = []
    await bodyOf({}, [new File([bytes(PIECE_BYTES * 2)], 'a')], (part) => parts.push(part))
    expect(parts).toEqual([0.5, 1])
  })
})
