/** The rows of the server's tables, as far as the app reads them. Times are ISO 8601. */

export type JobStatus = 'queued' | 'processing' | 'completed' | 'failed' | 'canceled'

export interface Project {
  id: string
  user_id: string
  name: string
  canvas_state: unknown
  created_at: string
  updated_at: string
}

export interface Template {
  id: string
  user_id: string | null
  name: string
  prompt: string
  settings: Record<string, unknown>
  is_public: boolean
  updated_at: string
}

export interface Job {
  id: string
  user_id: string
  project_id: string | null
  identity_id: string | null
  job_type: string
  queue: string
  quantity: number
  prompt: string | null
  payload: Record<string, unknown>
  status: JobStatus
  progress: number
  retries: number
  max_retries: number
  attempt: number
  seq: number
  next_run_at: string | null
  created_at: string
  started_at: string | null
  completed_at: string | null
  result_count: number
  result_urls: string[]
  error_code: string | null
  error_message: string | null
}

export interface Generation {
  id: string
  user_id: string
  job_id: string | null
  project_id: string | null
  batch_id: number | null
  media_type: 'image' | 'video'
  status: 'pending' | 'generating' | 'completed' | 'failed'
  position: number | null
  bucket: string | null
  path: string | null
  url: string | null
  thumbnail_url: string | null
  prompt: string | null
  width: number | null
  height: number | null
  seed: number | null
  provider: string | null
  model: string | null
  metadata: Record<string, unknown>
  error_message: string | null
  seq: number
  created_at: string
}

export interface Batch {
  id: number
  user_id: string
  identity_id: string | null
  project_id: string | null
  job_id: string | null
  status: 'pending' | 'processing' | 'completed' | 'failed'
  prompt: string
  aspect_ratio: string | null
  total_images: number
  completed_images: number
  failed_images: number
  progress: number
  credits_held: number
  credits_used: number
  error_code: string | null
  error_message: string | null
  seq: number
  created_at: string
  completed_at: string | null
}

/** What a training may suffer from. `image` counts the photos from 1. */
export interface Finding {
  image: number | null
  name: string
  kind: string
  message: string
}

export interface Identity {
  id: string
  user_id: string
  identity_name: string
  model_id: string
  huggingface_repo_url: string | null
  num_training_images: number
  status: 'training' | 'ready' | 'failed'
  thumbnail_url: string | null
  trained_at: string | null
  error_code: string | null
  error_message: string | null
  job_id: string | null
  progress: number
  step: number | null
  steps_total: number | null
  loss: number | null
  trigger_word: string | null
  base_model: string | null
  sample_urls: string[]
  findings: Finding[]
  consent: { given: boolean | null; text: string | null; at: string | null }
  image_paths: string[]
  seq: number
  created_at: string
  updated_at: string
}

export interface TrainingStep {
  job_id: string
  step: number
  steps_total: number
  loss: number | null
  learning_rate: number | null
  sample_url: string | null
  seq: number
  created_at: string
}

export interface CreditAccount {
  user_id: string
  balance: number
  held: number
  available: number
  is_premium: boolean
  created_at: string
}

export interface CreditEntry {
  id: number
  kind: 'grant' | 'hold' | 'capture' | 'release'
  amount: number
  units: number
  hold_id: string | null
  part: number
  reference: string | null
  note: string | null
  created_at: string
}

export const ENDED: readonly string[] = ['completed', 'failed', 'canceled']
export const isUnderWay = (row: { status: string }) => !ENDED.includes(row.status)
