import type { Words } from './en'
import { account } from './pt-BR/account'
import { batches } from './pt-BR/batches'
import { operator } from './pt-BR/console'
import { editor } from './pt-BR/editor'
import { failures } from './pt-BR/failures'
import { gallery } from './pt-BR/gallery'
import { identities } from './pt-BR/identities'
import { refusals } from './pt-BR/refusals'
import { rows } from './pt-BR/rows'
import { shell } from './pt-BR/shell'
import { welcome } from './pt-BR/welcome'

export const ptBR: Words = {
  shell,
  welcome,
  editor,
  rows,
  gallery,
  batches,
  identities,
  account,
  refusals,
  failures,
  console: operator,
}
