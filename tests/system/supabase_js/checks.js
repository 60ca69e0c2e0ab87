// Runs checks one after another and tells the outcome of each on a line of its own.
import { createInterface } from 'node:readline'
import { inspect } from 'node:util'

const CHECK_MILLISECONDS_MAX = 120_000
// Lines of a stack that do not say which line of the check it was.
const NOT_OURS = /\n +at (?:.*(?:node:internal|node_modules|checks\.js).*)/g
const HEARING_MILLISECONDS_MAX = 60_000

const tell = (line) => process.stdout.write(JSON.stringify(line) + '\n')
const waiting = new Map()
let asked = 0

createInterface({ input: process.stdin }).on('line', (line) => {
  const { id, answer, error } = JSON.parse(line)
  const { resolve, reject } = waiting.get(id)
  waiting.delete(id)
  if (error) reject(new Error(error))
  else resolve(answer)
})

// What the test does behind the scenes for us: SQL as the administrator, an end of the server.
export const backstage = (ask, ...given) =>
  new Promise((resolve, reject) => {
    const id = (asked += 1)
    waiting.set(id, { resolve, reject })
    tell({ ask, id, given })
  })
export const sql = (text, ...values) => backstage('sql', text, ...values)

const within = (milliseconds, promise, describe) => {
  let timer
  const late = new Promise((_, reject) => {
    const giveUp = () => reject(new Error(`waited in vain for ${describe()}`))
    timer = setTimeout(giveUp, milliseconds)
  })
  return Promise.race([promise, late]).finally(() => clearTimeout(timer))
}

export const check = async (name, body) => {
  let why = null
  try {
    await within(CHECK_MILLISECONDS_MAX, body(), () => 'the end of the check')
  } catch (error) {
    why = (error?.stack ?? inspect(error)).replaceAll(NOT_OURS, '')
  }
  tell({ check: name, why })
}

// What a call of the client gave, which must not be an error; or the error, which it must be.
export const dataOf = async (call) => {
  const answer = await call
  if (answer.error) throw new Error(`it failed: ${inspect(answer.error, { depth: 1 })}`)
  return answer.data
}
export const errorOf = async (call) => {
  const { data, error } = await call
  if (!error) throw new Error(`it should have failed, but gave ${inspect(data)}`)
  return error
}

// Things that come by and by, and whoever waits until they are as they should be.
export class Heard {
  all = []
  #waiting = new Set()

  note = (thing) => {
    this.all.push(thing)
    for (const stir of this.#waiting) stir()
  }

  // Returns what was heard, once it fulfils the condition.
  until(fulfilled, what = 'what should be heard') {
    let stir
    const wait = new Promise((resolve) => {
      stir = () => fulfilled(this.all) && resolve([...this.all])
      stir()
    })
    this.#waiting.add(stir)
    const describe = () => `${what}; heard ${inspect(this.all, { depth: 4 })}`
    return within(HEARING_MILLISECONDS_MAX, wait, describe).finally(() => {
      this.#waiting.delete(stir)
    })
  }

  count(number) {
    return this.until((all) => all.length >= number, `${number} of them`)
  }
}
