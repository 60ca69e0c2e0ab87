import { describe, expect, test } from 'vitest'
import { isUnderWay, type JobFacts, jobsByOutput, passage, phaseOf } from './run'

const job = (facts: Partial<JobFacts> = {}): JobFacts => ({
  status: 'queued',
  quantity: 4,
  retries: 0,
  next_run_at: null,
  result_count: 0,
  error_code: null,
  error_message: null,
  ...facts,
})
const phase = (facts: Partial<JobFacts>, made = 0, position: number | null = null) =>
  phaseOf(job(facts), made, position)

describe('a job', () => {
  test('waits, with its place where it is known', () => {
    expect(phase({}, 0, 3)).toEqual({ is: 'queued', position: 3 })
    expect(phase({})).toEqual({ is: 'queued', position: null })
  })

  test('counts pictures as they arrive, before its row tells', () => {
    expect(phase({ status: 'processing' }, 2)).toEqual({ is: 'generating', made: 2, of: 4 })
    expect(phase({ status: 'processing', result_count: 3 }, 2)).toMatchObject({ made: 3 })
    expect(phase({ status: 'processing' }, 9)).toMatchObject({ made: 4 })
    expect(phase({ status: 'queued' }, 1)).toMatchObject({ is: 'generating', made: 1 })
  })

  test('says that it tries again', () => {
    const at = '2026-01-01T00:00:00Z'
    expect(phase({ retries: 2, next_run_at: at }, 1)).toEqual({ is: 'retrying', turn: 2, at })
  })

  test('ends in one of three ways', () => {
    expect(phase({ status: 'completed', result_count: 3 }, 4)).toEqual({
      is: 'done',
      made: 3,
      of: 4,
    })
    expect(phase({ status: 'failed', error_code: 'quota', error_message: 'Full.' })).toEqual({
      is: 'failed',
      code: 'quota',
      message: 'Full.',
    })
    expect(phase({ status: 'canceled', result_count: 1 })).toEqual({
      is: 'canceled',
      made: 1,
      of: 4,
    })
    for (const status of ['completed', 'failed', 'canceled'] as const)
      expect(isUnderWay(phase({ status }))).toBe(false)
  })
})

describe('news', () => {
  const [queued, generating] = [phase({}), phase({ status: 'processing' })]
  const done = phase({ status: 'completed', result_count: 4 })

  test('are told once, at the end', () => {
    expect(passage(queued, generating)).toBeNull()
    expect(passage(generating, done)).toBe('finished')
    expect(passage(done, done)).toBeNull()
    expect(passage(queued, phase({ status: 'completed', result_count: 2 }))).toBe('partly')
    expect(passage(generating, phase({ status: 'failed' }))).toBe('failed')
    expect(passage(generating, phase({ status: 'canceled' }))).toBe('canceled')
  })

  test('of what had ended before anybody looked are old', () => {
    expect(passage(undefined, done)).toBeNull()
  })
})

describe('outputs', () => {
  test('show their own jobs, and the first those that no output knows', () => {
    const outputs = [
      { id: 'left', jobIds: ['a'] },
      { id: 'right', jobIds: ['b', 'gone'] },
    ]
    expect([...jobsByOutput(outputs, ['a', 'b', 'c'])]).toEqual([
      ['left', ['c', 'a']],
      ['right', ['b']],
    ])
  })

  test('never show one job twice', () => {
    const outputs = [
      { id: 'left', jobIds: ['a'] },
      { id: 'copy', jobIds: ['a'] },
    ]
    expect([...jobsByOutput(outputs, ['a'])]).toEqual([
      ['left', ['a']],
      ['copy', []],
    ])
  })
})
