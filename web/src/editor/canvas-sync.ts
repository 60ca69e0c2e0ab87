/**
 * How does a canvas get into its row, and out of it again?
 *
 * One thing at a time: a save is of the version it was made from, and when another tab was faster
 * both canvases are united and saved again. What is not saved yet is kept in the browser as well,
 * with what it was made from, and united with the row when the project is opened again.
 */
import { type Graph, read, same, unite, write } from '@/graph'

const REST_MS = 700
const RETRY_MS = 3_000
const CONFLICTS_MAX = 5

export interface Version {
  graph: Graph
  updatedAt: string
}

export interface CanvasDoor {
  read: () => Promise<Version | null>
  /** Null when the row is of another version by now. */
  save: (canvas: unknown, of: string) => Promise<string | null>
}

export interface CanvasHolder {
  graph: () => Graph
  take: (graph: Graph) => void
  tell: (state: 'saved' | 'dirty' | 'saving' | 'failed') => void
  /** Changes of another tab were taken in. */
  united: () => void
}

/** Where a draft is kept while it is not saved: the browser's storage, as a rule. */
export interface Drafts {
  put: (draft: unknown) => void
  drop: () => void
}

export class CanvasSync {
  private timer: ReturnType<typeof setTimeout> | undefined
  private line: Promise<void> = Promise.resolve()
  private base: Graph
  private updatedAt: string
  private isStopped = false

  constructor(
    private readonly door: CanvasDoor,
    private readonly holder: CanvasHolder,
    private readonly drafts: Drafts,
    from: Version,
  ) {
    this.base = from.graph
    this.updatedAt = from.updatedAt
    if (this.isDirty) this.touch()
  }

  get isDirty(): boolean {
    return !same(this.holder.graph(), this.base)
  }

  /** The graph has changed: it is saved after a moment's rest. */
  touch(): void {
    if (!this.isDirty) return
    this.drafts.put({ base: write(this.base), graph: write(this.holder.graph()) })
    this.holder.tell('dirty')
    this.later(REST_MS)
  }

  /** Saves now what is not saved. */
  flush(): Promise<void> {
    clearTimeout(this.timer)
    return this.inLine(() => this.save())
  }

  /** Somebody told of a version: if it is not the one known here, it is read. */
  noticed(updatedAt: string): Promise<void> {
    return this.inLine(async () => {
      if (updatedAt && Date.parse(updatedAt) === Date.parse(this.updatedAt)) return
      const theirs = await this.door.read()
      if (theirs && theirs.updatedAt !== this.updatedAt) this.takeIn(theirs)
      if (this.isDirty) this.later(REST_MS)
    })
  }

  /** Saves what is left, and nothing more after it. */
  async stop(): Promise<void> {
    await this.flush()
    this.isStopped = true
    clearTimeout(this.timer)
  }

  private async save(): Promise<void> {
    for (let turn = 0; this.isDirty && turn < CONFLICTS_MAX; turn += 1) {
      const graph = this.holder.graph()
      this.holder.tell('saving')
      const updatedAt = await this.door.save(write(graph), this.updatedAt)
      if (updatedAt) {
        this.base = graph
        this.updatedAt = updatedAt
      } else {
        const theirs = await this.door.read()
        if (!theirs) return
        this.takeIn(theirs)
      }
    }
    if (this.isDirty) return this.later(RETRY_MS)
    this.drafts.drop()
    this.holder.tell('saved')
  }

  private takeIn(theirs: Version): void {
    const mine = this.holder.graph()
    const isNews = !same(theirs.graph, this.base) && !same(theirs.graph, mine)
    const both = unite(this.base, mine, theirs.graph)
    this.base = theirs.graph
    this.updatedAt = theirs.updatedAt
    if (!same(both, mine)) this.holder.take(both)
    if (isNews) this.holder.united()
    if (!this.isDirty) {
      this.drafts.drop()
      this.holder.tell('saved')
    }
  }

  private inLine(act: () => Promise<void>): Promise<void> {
    this.line = this.line.then(act).catch(() => {
      this.holder.tell('failed')
      this.later(RETRY_MS)
    })
    return this.line
  }

  private later(milliseconds: number): void {
    clearTimeout(this.timer)
    if (!this.isStopped) this.timer = setTimeout(() => void this.flush(), milliseconds)
  }
}

/** The canvas to open: the row's, united with what this browser had not saved. */
export function opened(stored: Version, draft: unknown): Graph {
  if (typeof draft !== 'object' || draft === null) return stored.graph
  const { base, graph } = draft as { base?: unknown; graph?: unknown }
  return unite(read(base), read(graph), stored.graph)
}
