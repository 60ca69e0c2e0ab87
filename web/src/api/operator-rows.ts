/** What the function `operator` tells, by view. Times are ISO 8601, lengths of time seconds. */

export interface QueueLoad {
  queue: string
  ready: number
  delayed: number
  leased: number
  oldestSeconds: number | null
}

export interface Overview {
  at: string
  queues: QueueLoad[]
  outsideWorkers: number
  outsideWorkersAlive: number
  insideWorkersAlive: number
  pauses: number
  openHolds: number
  creditsHeld: number
  ledgerHoldsTrue: boolean
  jobsLastHour: Record<string, number>
  jobsSeenMax: number
}

export interface Bucket {
  beginsAt: string
  accepted: number
  completed: number
  failed: number
  canceled: number
  secondsP50: number | null
  secondsP95: number | null
  queuedSecondsP50: number | null
  queuedSecondsP95: number | null
}

export interface Throughput {
  bucketSeconds: number
  buckets: Bucket[]
  isTruncated: boolean
  jobsSeenMax: number
}

export interface Workers {
  outside: {
    name: string
    queues: string[]
    createdAt: string
    seenAt: string | null
    isAlive: boolean
    jobsHeld: number
  }[]
  inside: { name: string; isAnswering: boolean; leases: number; jobsHeld: number }[]
  leases: { id: string; worker: string; expiresAt: string; jobs: number }[]
  jobs: {
    id: string
    jobType: string
    queue: string
    status: string
    progress: number
    attempt: number
    worker: string
    expiresAt: string
  }[]
}

export interface Providers {
  models: {
    provider: string
    model: string
    jobs: number
    completed: number
    failed: number
    outputs: number
    credits: number
    causes: { cause: string; failed: number; retried: number }[]
    pausedUntil: string | null
  }[]
  pauses: Pause[]
  jobsSeenMax: number
}

/** `model` is "" for a whole provider. */
export interface Pause {
  provider: string
  model: string
  cause: string
  detail: string
  until: string
}

export interface Models {
  models: {
    id: string
    title: string
    provider: string
    prices: Record<string, number>
    isAvailable: boolean
    shutdownAt: string | null
    endsInDays: number | null
    isEnding: boolean
    replacedBy: string | null
  }[]
}

export interface JobRow {
  id: string
  userId: string
  email: string | null
  jobType: string
  queue: string
  model: string | null
  status: string
  progress: number
  quantity: number
  resultCount: number
  attempt: number
  retries: number
  maxRetries: number
  errorCode: string | null
  errorMessage: string | null
  prompt: string | null
  createdAt: string
  startedAt: string | null
  completedAt: string | null
  nextRunAt: string | null
}

/** A page may be empty and have a next one: so many jobs are looked at for each. */
export interface Jobs {
  jobs: JobRow[]
  next: string | null
  jobsSeenMax: number
}

export interface Step {
  at: string
  kind: string
  attempt: number
  code: string | null
  message: string | null
  worker: string | null
}

export interface Output {
  position: number
  bucket: string
  path: string
  url: string
  thumbnailUrl: string | null
  width: number | null
  height: number | null
  seed: number | null
  provider: string | null
  model: string | null
}

export interface JobDetail extends Omit<JobRow, 'model'> {
  projectId: string | null
  templateId: string | null
  priority: number
  payload: Record<string, unknown>
  metadata: Record<string, unknown>
  expiresAt: string
}

/** All there is of one job. `position` counts the ready jobs before it; `logs` is what was said in
 * the calls of functions that spoke of it. */
export interface WholeJob {
  job: JobDetail
  outputs: Output[]
  steps: Step[]
  entries: LedgerEntry[]
  logs: LogLine[]
  lease: { id: string; worker: string; expiresAt: string } | null
  position: number | null
}

export interface Failures {
  since: string
  failures: {
    cause: string
    jobType: string
    jobs: number
    newestJobId: string
    newestAt: string
    message: string | null
  }[]
  jobsSeenMax: number
}

export interface Somebody {
  id: string
  email: string | null
  createdAt: string
  lastSignInAt: string | null
  isAnonymous: boolean
  balance: number
  held: number
  available: number
  isPremium: boolean
  jobsLastDay: number
}

export interface Users {
  users: Somebody[]
  next: number | null
}

export interface LedgerEntry {
  id: number
  kind: string
  amount: number
  units: number
  holdId: string | null
  note: string | null
  createdAt: string
}

export interface Person {
  user: Somebody
  statement: LedgerEntry[]
  jobs: JobRow[]
}

export interface Ledger {
  at: string
  holdsTrue: boolean
  accounts: number
  holds: number
  openHolds: number
  jobs: number
  findings: { rule: string; subject: string; detail: string }[]
}

export interface Storage {
  buckets: {
    bucket: string
    isPublic: boolean
    bytesMax: number | null
    mediaTypes: string[] | null
    objects: number
    bytes: number
  }[]
  objectBytesMax: number
}

export interface LogLine {
  id: number
  at: string
  function: string
  requestId: string
  level: string
  message: string
  status: number | null
  seconds: number | null
}

export interface Logs {
  lines: LogLine[]
  next: number | null
}

export interface Views {
  overview: Overview
  throughput: Throughput
  workers: Workers
  providers: Providers
  models: Models
  jobs: Jobs
  job: WholeJob
  failures: Failures
  users: Users
  user: Person
  ledger: Ledger
  storage: Storage
  logs: Logs
}

/** What became of one job that was acted upon. */
export interface Outcome {
  jobId: string
  outcome: string
  done: boolean
  message: string | null
  newJobId: string | null
}

export interface Granted {
  granted: boolean
  userId: string
  balance: number
  held: number
  available: number
}
