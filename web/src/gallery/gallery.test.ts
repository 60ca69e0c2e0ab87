import { describe, expect, test } from 'vitest'
import { fileName } from './file-name'
import { filterOf, isNarrow } from './filter'
import { remade } from './remade'

const picture = {
  id: '0195f0aa-0000-7000-8000-000000000000',
  prompt: 'Um robô, à noite / 50% …',
  seed: 7,
  path: 'u/j/0.png',
  metadata: { media_type: 'image/jpeg' },
  media_type: 'image' as const,
}

describe('a file name', () => {
  test('is the prompt as every system takes it, and the seed', () => {
    expect(fileName(picture)).toBe('um-robo-a-noite-50-7.jpg')
  })
  test('without a seed or a prompt is still one of its own', () => {
    expect(fileName({ ...picture, seed: null, prompt: null })).toBe('0195f0aa.jpg')
  })
  test('ends as its bytes are, or as its object', () => {
    expect(fileName({ ...picture, metadata: {} })).toMatch(/\.png$/)
    expect(fileName({ ...picture, metadata: {}, path: null, media_type: 'video' })).toMatch(/mp4$/)
  })
})

describe('the filter of an address', () => {
  test('takes what it knows', () => {
    const search = { text: 42, media: 'video', batch: '12', from: '2026-03-01', made: 'sandbox' }
    expect(filterOf(search)).toMatchObject({
      text: '42',
      media: 'video',
      batch: 12,
      from: '2026-03-01',
      made: 'sandbox',
    })
  })
  test('leaves out what makes no sense', () => {
    const search = { media: 'sound', batch: -1, from: 'soon', project: 'x', text: { a: 1 } }
    expect(isNarrow(filterOf(search))).toBe(false)
  })
})

describe('a recipe made again', () => {
  const request = { prompt: 'a robot', quantity: 2, model: 'sandbox', seed: 7, aspectRatio: '1:1' }

  test('is a chain of nodes below everything that is there', () => {
    const there = remade({ nodes: [], edges: [] }, request, [])
    const more = remade(there, request, [{ bucket: 'uploads', path: 'a.png' }])
    expect(more.nodes.map(({ kind }) => kind)).toEqual([
      ...['prompt', 'settings', 'output'],
      ...['prompt', 'references', 'settings', 'output'],
    ])
    const lowest = Math.max(...there.nodes.map(({ y }) => y))
    expect(Math.min(...more.nodes.slice(3).map(({ y }) => y))).toBeGreaterThan(lowest)
    expect(more.edges).toHaveLength(2 + 3)
    const settings = more.nodes.find(({ kind }) => kind === 'settings')
    expect(settings).toMatchObject({ model: 'sandbox', seed: 7, aspectRatio: '1:1', quantity: 2 })
  })
})
