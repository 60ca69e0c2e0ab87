import { account } from './account'
import { batches } from './batches'
import { operator } from './console'
import { failures } from './failures'
import { gallery } from './gallery'
import { identities } from './identities'
import { refusals } from './refusals'
import { welcome } from './welcome'

/** What the other screens say: loaded before the first of them is shown. */
export const rest = {
  gallery,
  batches,
  identities,
  account,
  refusals,
  failures,
  console: operator,
  welcome,
}
