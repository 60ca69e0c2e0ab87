/** Which folder may import from which? Screens never see each other, and the ground sees no screen. */
import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, normalize } from 'node:path'
import { describe, expect, test } from 'vitest'

const SOURCES = 'src'
const LINES_MAX = 350
const SCREENS = ['editor', 'gallery', 'batches', 'identities', 'account', 'console', 'welcome']
const GROUND = ['api', 'realtime', 'graph', 'words', 'ui']
/** What each folder may import besides itself. */
const MAY: Record<string, string[]> = {
  words: [],
  graph: [],
  ui: [],
  realtime: [],
  api: ['realtime'],
  shell: GROUND,
  ...Object.fromEntries(SCREENS.map((screen) => [screen, [...GROUND, 'shell']])),
  '': [...SCREENS, ...GROUND, 'shell'],
}

const files = (readdirSync(SOURCES, { recursive: true }) as string[]).filter((path) =>
  /\.tsx?$/.test(path),
)
const folderOf = (path: string) => (path.includes('/') ? path.slice(0, path.indexOf('/')) : '')

function importsOf(path: string): string[] {
  const text = readFileSync(join(SOURCES, path), 'utf-8')
  return [...text.matchAll(/(?:from|import\()\s*'([^']+)'/g)].flatMap(([, name = '']) => {
    if (name.startsWith('@/')) return [name.slice(2)]
    return name.startsWith('.') ? [normalize(join(dirname(path), name))] : []
  })
}

const told = (paths: string[], wrong: (path: string) => unknown) => paths.filter(wrong)
const textOf = (path: string) => readFileSync(join(SOURCES, path), 'utf-8')

describe('every file', () => {
  test('imports only what its folder may', () => {
    const wrong = files.flatMap((path) => {
      const folder = folderOf(path)
      expect(MAY, `${folder} has no place in the order of folders`).toHaveProperty([folder])
      return importsOf(path)
        .filter((name) => {
          const seen = name in MAY ? name : folderOf(name)
          return seen !== folder && !MAY[folder]?.includes(seen)
        })
        .map((name) => `${path} imports ${name}`)
    })
    expect(wrong).toEqual([])
  })

  test('is short, but for the catalogues of words', () => {
    const long = (path: string) => textOf(path).split('\n').length > LINES_MAX
    expect(told(files, (path) => !path.startsWith('words/') && long(path))).toEqual([])
  })

  test('leaves supabase-js to api and realtime', () => {
    const uses = (path: string) => /^import .*@supabase/m.test(textOf(path))
    expect(told(files, (path) => !/^(api|realtime)\//.test(path) && uses(path))).toEqual([])
  })
})
