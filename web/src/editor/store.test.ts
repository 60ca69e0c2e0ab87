import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { addNodes, EMPTY, newNode, removeNodes } from '@/graph'
import { createEditor, type EditorStore, PORTION } from './store'

const MANY = PORTION * 3 + 1
const crowd = addNodes(
  EMPTY,
  Array.from({ length: MANY }, (_, number) => newNode('prompt', number * 10, 0)),
)
const everybody = new Set(crowd.nodes.map(({ id }) => id))
const isDrawn = (store: EditorStore) => store.getState().flow.map(({ hidden }) => !hidden)
const drawn = (store: EditorStore) => isDrawn(store).filter(Boolean).length

let frames: (() => void)[] = []

/** Paints, and lets the page do what it left for after that. */
function paint() {
  for (const callback of frames.splice(0)) callback()
  vi.runAllTimers()
}

beforeEach(() => {
  vi.useFakeTimers()
  frames = []
  vi.stubGlobal('requestAnimationFrame', (callback: () => void) => frames.push(callback))
})
afterEach(() => {
  vi.useRealTimers()
  vi.unstubAllGlobals()
})

describe('many nodes', () => {
  test('are all drawn at once when a project is opened', () => {
    expect(drawn(createEditor('p', crowd))).toBe(MANY)
  })

  test('are drawn a frame at a time when an undo brings them back', () => {
    const store = createEditor('p', crowd)
    store.getState().change((graph) => removeNodes(graph, everybody))
    store.getState().undo()
    const seen = [drawn(store)]
    while (frames.length > 0) {
      paint()
      seen.push(drawn(store))
    }
    expect(seen).toEqual([PORTION, PORTION * 2, PORTION * 3, MANY])
    expect(store.getState().flow.map(({ id }) => id)).toEqual([...everybody])
  })

  test('leave those in place that were there before', () => {
    const store = createEditor('p', crowd)
    const kept = crowd.nodes.slice(-5).map(({ id }) => id)
    store
      .getState()
      .change((graph) => removeNodes(graph, new Set([...everybody].slice(0, MANY - 5))))
    store.getState().undo()
    expect(isDrawn(store).slice(-5)).toEqual(kept.map(() => true))
    expect(drawn(store)).toBe(PORTION + 5)
  })

  test('can be selected and removed before the last of them is drawn', () => {
    const store = createEditor('p', EMPTY)
    store.getState().take(crowd)
    store.getState().select(everybody)
    expect(store.getState().flow.every(({ selected }) => selected)).toBe(true)
    store.getState().change((graph) => removeNodes(graph, everybody))
    paint()
    expect(store.getState().flow).toEqual([])
    expect(frames).toEqual([])
  })
})

test('a few nodes are drawn at once', () => {
  const store = createEditor('p', EMPTY)
  store.getState().change((graph) => addNodes(graph, crowd.nodes.slice(0, PORTION)))
  expect(drawn(store)).toBe(PORTION)
  expect(frames).toEqual([])
})
