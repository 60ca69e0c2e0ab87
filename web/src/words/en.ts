import { first } from './en/first'
import { rest } from './en/rest'

export const en = { ...first, ...rest }

/** Every word of the app. A catalogue of another language has the same keys, or does not compile. */
export type Words = typeof en
