import { describe, expect, test } from 'vitest'
import {
  addNodes,
  arrange,
  changeNode,
  connect,
  copyOf,
  EMPTY,
  fromText,
  type Graph,
  moveNodes,
  newNode,
  pieceOf,
  read,
  recipeOf,
  removeNodes,
  STARTERS,
  settingsToRun,
  starter,
  toText,
  write,
} from '.'

const [prompt, references, settings, output] = [
  { ...newNode('prompt', 0, 0), text: 'a robot' },
  newNode('references', 0, 200),
  newNode('settings', 300, 0),
  newNode('output', 600, 0),
]
const nodes = addNodes(EMPTY, [prompt, references, settings, output])
const BOUNDS = { promptCharactersMax: 50, referencesMax: 2, takesSeed: true }
const PROMPTS = { portrait: 'p', product: 'p', noon: 'n', dusk: 'd', storm: 's', restyle: 'r' }

function linked(graph: Graph, ...pairs: [{ id: string }, { id: string }][]): Graph {
  return pairs.reduce((now, [from, to]) => {
    const next = connect(now, from.id, to.id)
    if (typeof next === 'string') throw new Error(next)
    return next
  }, graph)
}

describe('edges', () => {
  const graph = linked(nodes, [prompt, settings], [references, settings], [settings, output])

  test('lead only into what takes them', () => {
    expect(connect(graph, prompt.id, output.id)).toBe('kinds')
    expect(connect(graph, output.id, prompt.id)).toBe('kinds')
    expect(connect(graph, prompt.id, 'nothing')).toBe('kinds')
    expect(connect(graph, prompt.id, prompt.id)).toBe('same')
    expect(connect(graph, prompt.id, settings.id)).toBe('twice')
  })

  test('give an output one source', () => {
    const other = newNode('settings', 0, 0)
    expect(connect(addNodes(graph, [other]), other.id, output.id)).toBe('taken')
  })

  test('never make a circle, however long', () => {
    const [second, end] = [newNode('settings', 900, 0), newNode('output', 1200, 0)]
    const longer = linked(addNodes(graph, [second, end]), [output, second], [second, end])
    expect(connect(longer, end.id, settings.id)).toBe('circle')
    expect(connect(graph, output.id, settings.id)).toBe('circle')
  })

  test('go with either of their nodes', () => {
    expect(removeNodes(graph, new Set([settings.id])).edges).toEqual([])
    expect(removeNodes(graph, new Set([prompt.id])).edges).toHaveLength(2)
  })
})

describe('a change', () => {
  test('leaves every other node the same object', () => {
    const next = changeNode<'prompt'>(nodes, prompt.id, { text: 'a cat' })
    expect(next.nodes[0]).toMatchObject({ text: 'a cat' })
    expect(next.nodes.slice(1)).toEqual(nodes.nodes.slice(1))
    expect(next.nodes[2]).toBe(nodes.nodes[2])
  })

  test('that changes nothing is no change', () => {
    expect(changeNode(nodes, 'nothing', {})).toBe(nodes)
    expect(moveNodes(nodes, new Map([[prompt.id, { x: 0, y: 0 }]]))).toBe(nodes)
  })
})

describe('what is stored', () => {
  const graph = linked(nodes, [prompt, settings], [settings, output])

  test('is read back as it was', () => {
    expect(read(JSON.parse(JSON.stringify(write(graph))))).toEqual(graph)
    expect(read({})).toEqual(EMPTY)
    expect(read(null)).toEqual(EMPTY)
  })

  test('opens whatever is wrong with it', () => {
    const stored = {
      version: 1,
      nodes: [
        { id: 'a', kind: 'prompt', x: 'left' },
        { kind: 'prompt' },
        { id: 'b', kind: 'tree' },
        7,
      ],
      edges: [{ from: 'a', to: 'gone' }, null],
    }
    expect(read(stored)).toEqual({
      nodes: [{ id: 'a', kind: 'prompt', x: 0, y: 0, text: '' }],
      edges: [],
    })
  })

  test('holds pictures by their place, never as bytes', () => {
    const stored = write(
      addNodes(EMPTY, [
        {
          ...references,
          pictures: [
            { bucket: 'uploads', path: 'data:image/png;base64,AAAA' },
            { bucket: 'uploads', path: 'me/1.png' },
          ],
        },
      ]),
    )
    expect(read(stored).nodes[0]).toMatchObject({ pictures: [{ path: 'me/1.png' }] })
  })

  test('by an app that kept React Flow as it is opens as a graph', () => {
    const stored = {
      nodes: [
        { id: '1', type: 'promptNode', position: { x: 5, y: 6 }, data: { prompt: 'a fox' } },
        {
          id: '2',
          type: 'settings',
          position: { x: 300, y: 0 },
          data: { aspectRatio: '16:9', quantity: 2 },
        },
      ],
      edges: [{ id: 'e', source: '1', target: '2', animated: true }],
    }
    const graph = read(stored)
    expect(graph.nodes[0]).toEqual({ id: '1', kind: 'prompt', x: 5, y: 6, text: 'a fox' })
    expect(graph.nodes[1]).toMatchObject({ aspectRatio: '16:9', quantity: 2, model: null })
    expect(graph.edges).toEqual([{ id: 'e', from: '1', to: '2' }])
  })
})

describe('copying', () => {
  const shown = { ...output, jobIds: ['job'] }
  const graph = linked(
    addNodes(EMPTY, [prompt, settings, shown]),
    [prompt, settings],
    [settings, shown],
  )

  test('takes the edges between what is copied, and no jobs', () => {
    const piece = pieceOf(graph, new Set([settings.id, shown.id]))
    expect(piece.edges).toHaveLength(1)
    expect(piece.nodes[1]).toMatchObject({ jobIds: [] })
  })

  test('goes through text, and any other text is none of ours', () => {
    const piece = pieceOf(graph, new Set([prompt.id, settings.id]))
    expect(fromText(toText(piece))).toEqual(piece)
    for (const text of ['', 'hello', '7', 'null', '{"nodes":[]}']) expect(fromText(text)).toBeNull()
  })

  test('makes new nodes at the place asked for', () => {
    const piece = pieceOf(graph, new Set([prompt.id, settings.id]))
    const copy = copyOf(piece, { x: 1000, y: 500 })
    expect(copy.nodes.map(({ x, y }) => [x, y])).toEqual([
      [1000, 500],
      [1300, 500],
    ])
    expect(copy.edges[0]).toMatchObject({ from: copy.nodes[0]?.id, to: copy.nodes[1]?.id })
    expect(copy.nodes.map(({ id }) => id)).not.toContain(prompt.id)
  })
})

describe('a recipe', () => {
  const none = () => []

  test('is the prompts from top to bottom, the pictures, and the settings', () => {
    const above = { ...newNode('prompt', 0, -100), text: ' In rain. ' }
    const pictures = [{ bucket: 'uploads', path: 'me/1.png' }]
    const graph = linked(
      addNodes(EMPTY, [prompt, above, { ...references, pictures }, { ...settings, seed: 7 }]),
      [prompt, settings],
      [above, settings],
      [references, settings],
    )
    expect(recipeOf(graph, { ...settings, seed: 7, aspectRatio: '16:9' }, BOUNDS, none)).toEqual({
      prompt: 'In rain.\n\na robot',
      quantity: 4,
      aspectRatio: '16:9',
      seed: 7,
      imageUrls: ['uploads/me/1.png'],
    })
  })

  test('is refused before anything is sent', () => {
    expect(recipeOf(nodes, settings, BOUNDS, none)).toBe('prompt_missing')
    const long = { ...prompt, text: 'é'.repeat(51) }
    const graph = linked(addNodes(EMPTY, [long, settings]), [long, settings])
    expect(recipeOf(graph, settings, BOUNDS, none)).toBe('prompt_long')
    const chained = linked(
      addNodes(EMPTY, [prompt, settings, output]),
      [prompt, settings],
      [output, settings],
    )
    const three = () => [1, 2, 3].map((n) => ({ bucket: 'generations', path: `${n}.png` }))
    expect(recipeOf(chained, settings, BOUNDS, three)).toBe('references_many')
  })

  test('leaves out a seed that the model does not take', () => {
    const graph = linked(addNodes(EMPTY, [prompt, settings]), [prompt, settings])
    const recipe = recipeOf(graph, { ...settings, seed: 7 }, { ...BOUNDS, takesSeed: false }, none)
    expect(recipe).not.toHaveProperty('seed', 7)
  })

  test('is run from any node of its chain', () => {
    const graph = linked(nodes, [prompt, settings], [settings, output])
    for (const node of [prompt, settings, output])
      expect(settingsToRun(graph, [node.id]).map(({ id }) => id)).toEqual([settings.id])
    expect(settingsToRun(graph, [references.id])).toEqual([])
  })
})

describe('templates and arranging', () => {
  test('every starter can be run, but for the picture that it waits for', () => {
    for (const name of STARTERS) {
      const graph = starter(name, PROMPTS)
      expect(read(write(graph))).toEqual(graph)
      for (const node of graph.nodes)
        if (node.kind === 'settings')
          expect(recipeOf(graph, node, BOUNDS, () => [])).toHaveProperty('prompt')
    }
  })

  test('arranged nodes stand in columns and never on each other', () => {
    const graph = linked(
      addNodes(nodes, [newNode('prompt', 3, 3), newNode('prompt', 3, 3)]),
      [prompt, settings],
      [references, settings],
      [settings, output],
    )
    const size = { width: 200, height: 100 }
    const placed = arrange(graph, () => size).nodes
    const xOf = (id: string) => placed.find((node) => node.id === id)?.x ?? 0
    expect(xOf(prompt.id)).toBeLessThan(xOf(settings.id))
    expect(xOf(settings.id)).toBeLessThan(xOf(output.id))
    for (const one of placed)
      for (const other of placed)
        if (one !== other && one.x === other.x)
          expect(Math.abs(one.y - other.y)).toBeGreaterThanOrEqual(size.height)
  })
})
