// Apps as their authors write them: supabase-js with a URL and a key, and people who sign in.
import { randomUUID } from 'node:crypto'
import { createClient } from '@supabase/supabase-js'
import { dataOf } from './checks.js'

export const given = JSON.parse(process.argv[2])
export const PASSWORD = 'correct horse'

export const anApp = (key = given.anonKey, options = {}) => createClient(given.url, key, options)
export const operator = () => anApp(given.serviceKey)

// Returns an app in which a new person has just signed up.
export const aPerson = async (options = {}, key = given.anonKey) => {
  const app = anApp(key, options)
  const email = `${randomUUID()}@example.com`
  const { user, session } = await dataOf(app.auth.signUp({ email, password: PASSWORD }))
  return { app, email, id: user.id, token: session.access_token }
}
