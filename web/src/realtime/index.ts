/** Rows as they change: one channel per subject, repaired by `seq`. Knows no noun and no screen. */
export { bury, living } from './gone'
export {
  type Dated,
  forget,
  goneFrom,
  type Known,
  merge,
  nothing,
  OVERLAP,
  type Row,
  since,
} from './merge'
export { type Subject, type Watcher, watch } from './watch'
