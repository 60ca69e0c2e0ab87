import { describe, expect, test } from 'vitest'
import {
  addNodes,
  adopt,
  begin,
  changeNode,
  commit,
  EMPTY,
  newNode,
  redo,
  STEPS_MAX,
  undo,
} from '.'

const prompt = newNode('prompt', 0, 0)
const output = newNode('output', 300, 0)
const start = addNodes(EMPTY, [prompt, output])
const typed = (text: string) => changeNode<'prompt'>(start, prompt.id, { text })

describe('history', () => {
  test('goes back and forth', () => {
    const history = commit(commit(begin(start), typed('a'), 0), typed('b'), 1)
    const back = undo(history)
    expect(back.present.nodes[0]).toMatchObject({ text: 'a' })
    expect(undo(back).present.nodes[0]).toMatchObject({ text: '' })
    expect(redo(back).present.nodes[0]).toMatchObject({ text: 'b' })
    expect(undo(begin(start)).present).toBe(start)
    expect(redo(history)).toBe(history)
  })

  test('takes typing back as one step, until there is a pause or another field', () => {
    let history = begin(start)
    for (const [at, text] of ['r', 'ro', 'rob'].entries())
      history = commit(history, typed(text), at * 100, 'text 1')
    expect(history.past).toHaveLength(1)
    history = commit(history, typed('robo'), 5000, 'text 1')
    expect(history.past).toHaveLength(2)
    history = commit(history, typed('robot'), 5001, 'text 2')
    expect(history.past).toHaveLength(3)
  })

  test('forgets what was undone as soon as something else is done', () => {
    const history = commit(undo(commit(begin(start), typed('a'), 0)), typed('b'), 1)
    expect(redo(history)).toBe(history)
  })

  test('keeps a bounded number of steps', () => {
    let history = begin(start)
    for (let step = 0; step <= STEPS_MAX; step += 1)
      history = commit(history, typed(`${step}`), step)
    expect(history.past).toHaveLength(STEPS_MAX)
  })

  test('never takes a job from its output', () => {
    const edited = commit(begin(start), typed('a'), 0)
    const ran = adopt(edited, changeNode<'output'>(edited.present, output.id, { jobIds: ['job'] }))
    expect(undo(ran).present.nodes[1]).toMatchObject({ jobIds: ['job'] })
    expect(redo(undo(ran)).present.nodes[1]).toMatchObject({ jobIds: ['job'] })
  })

  test('does not take back what came from elsewhere', () => {
    const joined = adopt(begin(start), typed('from another tab'))
    expect(undo(joined).present.nodes[0]).toMatchObject({ text: 'from another tab' })
  })
})
