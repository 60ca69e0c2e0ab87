/** The templates that come with the app; their texts are the catalogue's. */
import type { Graph, SettingsNode } from './graph'
import { newId, newNode } from './graph'

export const STARTERS = ['portrait', 'product', 'variations', 'restyle'] as const
export type Starter = (typeof STARTERS)[number]

type Prompts = Record<'portrait' | 'product' | 'noon' | 'dusk' | 'storm' | 'restyle', string>

export function starter(name: Starter, prompts: Prompts): Graph {
  switch (name) {
    case 'portrait':
      return chains([{ text: prompts.portrait, aspectRatio: '3:4' }])
    case 'product':
      return chains([{ text: prompts.product, aspectRatio: '4:5' }])
    case 'variations':
      return chains(
        [prompts.noon, prompts.dusk, prompts.storm].map((text) => ({
          text,
          aspectRatio: '16:9',
          quantity: 2,
        })),
      )
    case 'restyle':
      return chains([{ text: prompts.restyle, aspectRatio: null }], true)
  }
}

const COLUMN = 352
const ROW = 480

interface Chain extends Partial<Pick<SettingsNode, 'aspectRatio' | 'quantity'>> {
  text: string
}

/** Rows of prompt, settings and output, with references below the prompt if asked for. */
function chains(rows: Chain[], withReferences = false): Graph {
  const made = rows.map(({ text, ...fields }, at) => {
    const prompt = { ...newNode('prompt', 0, at * ROW), text }
    const references = withReferences ? [newNode('references', 0, at * ROW + 208)] : []
    const settings = { ...newNode('settings', COLUMN, at * ROW), ...fields }
    const output = newNode('output', 2 * COLUMN, at * ROW)
    const into = (from: string, to: string) => ({ id: newId(), from, to })
    return {
      nodes: [prompt, ...references, settings, output],
      edges: [
        into(prompt.id, settings.id),
        ...references.map((node) => into(node.id, settings.id)),
        into(settings.id, output.id),
      ],
    }
  })
  return { nodes: made.flatMap((one) => one.nodes), edges: made.flatMap((one) => one.edges) }
}
