import { describe, expect, test } from 'vitest'
import {
  addNodes,
  changeNode,
  connect,
  EMPTY,
  type Graph,
  newNode,
  removeNodes,
  same,
  unite,
} from '.'

const [prompt, settings, output] = [
  newNode('prompt', 0, 0),
  newNode('settings', 300, 0),
  newNode('output', 600, 0),
]
const base = addNodes(EMPTY, [prompt, settings, output])
const typed = (graph: Graph, text: string) => changeNode<'prompt'>(graph, prompt.id, { text })
const ran = (graph: Graph, ...jobIds: string[]) =>
  changeNode<'output'>(graph, output.id, { jobIds })
const ids = (graph: Graph) => graph.nodes.map((node) => node.id)

describe('two tabs', () => {
  test('keep what each of them changed', () => {
    const mine = typed(base, 'mine')
    const theirs = changeNode<'settings'>(base, settings.id, { quantity: 2 })
    const both = unite(base, mine, theirs)
    expect(both.nodes).toMatchObject([{ text: 'mine' }, { quantity: 2 }, {}])
    expect(same(both, unite(base, theirs, mine))).toBe(true)
  })

  test('agree on the nearer change where both changed the same', () => {
    expect(unite(base, typed(base, 'mine'), typed(base, 'theirs')).nodes[0]).toMatchObject({
      text: 'mine',
    })
  })

  test('keep new nodes and edges of both', () => {
    const added = newNode('prompt', 0, 300)
    const mine = addNodes(base, [added])
    const theirs = connect(base, prompt.id, settings.id) as Graph
    const both = unite(base, mine, theirs)
    expect(ids(both)).toContain(added.id)
    expect(both.edges).toEqual(theirs.edges)
  })

  test('take away what either took away, unless the other has changed it since', () => {
    const without = removeNodes(base, new Set([prompt.id]))
    expect(ids(unite(base, without, base))).not.toContain(prompt.id)
    expect(ids(unite(base, base, without))).not.toContain(prompt.id)
    expect(ids(unite(base, typed(base, 'kept'), without))).toContain(prompt.id)
    expect(ids(unite(base, without, typed(base, 'kept')))).toContain(prompt.id)
  })

  test('never leave an edge without its node', () => {
    const mine = connect(base, prompt.id, settings.id) as Graph
    const theirs = removeNodes(base, new Set([settings.id]))
    expect(unite(base, mine, theirs).edges).toEqual([])
  })

  test('show the jobs that each of them ran', () => {
    expect(unite(base, ran(base, 'a'), ran(base, 'b')).nodes[2]).toMatchObject({
      jobIds: ['b', 'a'],
    })
  })
})
