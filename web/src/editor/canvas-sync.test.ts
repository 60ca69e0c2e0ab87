import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { addNodes, changeNode, EMPTY, type Graph, newNode, read, same, write } from '@/graph'
import { type CanvasDoor, CanvasSync, opened } from './canvas-sync'

const prompt = newNode('prompt', 0, 0)
const settings = newNode('settings', 300, 0)
const start = addNodes(EMPTY, [prompt, settings])

/** A project's row, as the server keeps it. */
class Row implements CanvasDoor {
  canvas: unknown = write(start)
  version = 1
  isAway = false
  saves = 0

  read = async () => {
    if (this.isAway) throw new Error('offline')
    return { graph: read(this.canvas), updatedAt: stamp(this.version) }
  }
  save = async (canvas: unknown, of: string) => {
    if (this.isAway) throw new Error('offline')
    this.saves += 1
    if (of !== stamp(this.version)) return null
    this.canvas = JSON.parse(JSON.stringify(canvas))
    this.version += 1
    return stamp(this.version)
  }
}

const stamp = (version: number) => new Date(version * 1000).toISOString()

function openTab(row: Row) {
  const tab = {
    graph: read(row.canvas),
    state: 'saved',
    united: 0,
    draft: null as unknown,
    edit(fields: object, id = prompt.id) {
      tab.graph = changeNode(tab.graph, id, fields)
      tab.sync.touch()
    },
  } as { graph: Graph; state: string; united: number; draft: unknown; sync: CanvasSync } & {
    edit: (fields: object, id?: string) => void
  }
  tab.sync = new CanvasSync(
    row,
    {
      graph: () => tab.graph,
      take: (graph) => {
        tab.graph = graph
      },
      tell: (state) => {
        tab.state = state
      },
      united: () => {
        tab.united += 1
      },
    },
    {
      put: (draft) => {
        tab.draft = JSON.parse(JSON.stringify(draft))
      },
      drop: () => {
        tab.draft = null
      },
    },
    { graph: tab.graph, updatedAt: stamp(row.version) },
  )
  return tab
}

beforeEach(() => void vi.useFakeTimers())
afterEach(() => void vi.useRealTimers())

describe('one tab', () => {
  test('saves once after many changes', async () => {
    const row = new Row()
    const tab = openTab(row)
    for (const text of ['r', 'ro', 'rob']) tab.edit({ text })
    expect(tab.state).toBe('dirty')
    await vi.runAllTimersAsync()
    expect(row.saves).toBe(1)
    expect(read(row.canvas).nodes[0]).toMatchObject({ text: 'rob' })
    expect([tab.state, tab.draft]).toEqual(['saved', null])
  })

  test('writes nothing when a change was taken back', async () => {
    const row = new Row()
    const tab = openTab(row)
    tab.edit({ text: 'a' })
    tab.edit({ text: '' })
    await vi.runAllTimersAsync()
    expect(row.saves).toBe(0)
  })

  test('keeps trying while the network is away, and keeps a draft meanwhile', async () => {
    const row = new Row()
    const tab = openTab(row)
    row.isAway = true
    tab.edit({ text: 'kept' })
    await vi.advanceTimersByTimeAsync(10_000)
    expect(tab.state).toBe('failed')
    expect(opened({ graph: start, updatedAt: '' }, tab.draft).nodes[0]).toMatchObject({
      text: 'kept',
    })
    row.isAway = false
    await vi.runAllTimersAsync()
    expect([tab.state, tab.draft]).toEqual(['saved', null])
    expect(read(row.canvas).nodes[0]).toMatchObject({ text: 'kept' })
  })
})

describe('two tabs', () => {
  test('agree when both changed something else', async () => {
    const row = new Row()
    const [left, right] = [openTab(row), openTab(row)]
    left.edit({ text: 'left' })
    right.edit({ quantity: 2 }, settings.id)
    await vi.runAllTimersAsync()
    await left.sync.noticed(stamp(row.version))
    expect(same(left.graph, right.graph)).toBe(true)
    expect(read(row.canvas).nodes).toMatchObject([{ text: 'left' }, { quantity: 2 }])
    expect([left.state, right.state]).toEqual(['saved', 'saved'])
  })

  test('see each other without saving anything', async () => {
    const row = new Row()
    const [left, right] = [openTab(row), openTab(row)]
    left.edit({ text: 'left' })
    await vi.runAllTimersAsync()
    await right.sync.noticed(stamp(row.version))
    expect(right.graph.nodes[0]).toMatchObject({ text: 'left' })
    expect([right.united, row.saves]).toEqual([1, 1])
  })

  test('are not told of their own saves', async () => {
    const row = new Row()
    const tab = openTab(row)
    tab.edit({ text: 'mine' })
    await vi.runAllTimersAsync()
    await tab.sync.noticed(stamp(row.version))
    expect(tab.united).toBe(0)
  })
})
