import { expect, test } from 'vitest'
import type { Model } from '@/api/catalogue'
import { offerOf } from './price'

const model = (id: string, credits: number, large: number): Model => ({
  id,
  title: id,
  provider: 'sandbox',
  isDefault: false,
  aspectRatios: ['1:1'],
  imageSizes: [
    { name: '1K', credits },
    { name: '4K', credits: large },
  ],
  referencesMax: 3,
  takesSeed: true,
  personGenerations: [],
  retiresAt: null,
  replacedBy: null,
})
const adapter = (baseModel: string, credits: number, isServed: boolean) => ({
  baseModel,
  credits,
  isServed,
  referencesMax: 1,
})
const catalogue = {
  models: [model('first', 1, 4), model('other', 2, 6)],
  adapters: [adapter('flux', 3, true), adapter('sdxl', 5, false)],
}
const people = [
  { id: 'anna', base_model: 'flux' },
  { id: 'bert', base_model: 'sdxl' },
]
const nobody = { model: null, imageSize: null, identityId: null }
const anna = { ...nobody, identityId: 'anna' }

test('a model has a price for each size, and its own for one that it does not know', () => {
  expect(offerOf(nobody, catalogue, [], 0)).toEqual({ by: 'model', each: 1 })
  expect(offerOf({ ...nobody, imageSize: '4K' }, catalogue, [], 0)?.each).toBe(4)
  expect(offerOf({ ...nobody, model: 'other', imageSize: '9K' }, catalogue, [], 0)?.each).toBe(2)
})

test('a worker makes pictures of an identity at its own price', () => {
  expect(offerOf(anna, catalogue, people, 1)).toEqual({ by: 'worker', each: 3 })
})

test('a model makes them if it is named, if no worker is there, or with too many pictures', () => {
  expect(offerOf({ ...anna, model: 'other' }, catalogue, people, 0)?.each).toBe(2)
  expect(offerOf({ ...anna, identityId: 'bert' }, catalogue, people, 0)?.each).toBe(1)
  expect(offerOf(anna, catalogue, people, 2)).toEqual({ by: 'model', each: 1 })
})

test('no price is told before it is known what was learned', () => {
  expect(offerOf(anna, catalogue, [], 0)).toBeNull()
})
