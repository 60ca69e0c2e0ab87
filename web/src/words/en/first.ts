import { editor } from './editor'
import { rows } from './rows'
import { shell } from './shell'

/** What the frame and the editor say: loaded with the app itself. */
export const first = { shell, editor, rows }
