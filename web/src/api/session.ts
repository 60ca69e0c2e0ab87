/** Who is signed in? supabase-js keeps the session; here it is told to the screens. */
import type { User } from '@supabase/supabase-js'
import { create } from 'zustand'
import { cache } from './cache'
import { theClient } from './client'
import { dataOf } from './refusal'

interface SessionState {
  user: User | null
  /** Whether the last session ended by itself: nobody here has signed out. */
  hasLapsed: boolean
}

const useStore = create<SessionState>(() => ({ user: null, hasLapsed: false }))
let isLeaving = false

/** Reads the kept session and follows it from now on. Call it once, after `connect`. */
export async function followSession(): Promise<void> {
  const { data } = await theClient().auth.getSession()
  useStore.setState({ user: data.session?.user ?? null })
  theClient().auth.onAuthStateChange((_, session) => {
    const before = useStore.getState().user
    const user = session?.user ?? null
    if (before?.id !== user?.id) cache.clear()
    if (user || before) useStore.setState({ user, hasLapsed: !user && !isLeaving })
    isLeaving = false
  })
}

export const useUser = (): User | null => useStore((state) => state.user)
export const theUser = (): User | null => useStore.getState().user

/** Whether nobody is signed in because the session ended by itself. */
export const hasLapsed = (): boolean => useStore.getState().hasLapsed

/** The user's id; for what is shown to signed-in people only. */
export function theUserId(): string {
  const user = theUser()
  if (!user) throw new Error('nobody is signed in')
  return user.id
}

/** Whether the app metadata says so, either way. The server judges by the token itself. */
export function useIsOperator(): boolean {
  const said = useUser()?.app_metadata
  return said?.operator === true || said?.role === 'operator'
}

export async function accessToken(): Promise<string> {
  const { data } = await theClient().auth.getSession()
  return data.session?.access_token ?? ''
}

export const signIn = (email: string, password: string) =>
  dataOf(theClient().auth.signInWithPassword({ email, password }))

export const signUp = (email: string, password: string) =>
  dataOf(theClient().auth.signUp({ email, password }))

export const signInAsGuest = () => dataOf(theClient().auth.signInAnonymously())

export function signOut() {
  isLeaving = true
  return theClient().auth.signOut({ scope: 'local' })
}

/** Ends the session everywhere it was signed in, here too; or everywhere but here. */
export function signOutEverywhere(scope: 'global' | 'others') {
  isLeaving = scope === 'global'
  return dataOf(
    theClient()
      .auth.signOut({ scope })
      .then(({ error }) => ({ data: null, error })),
  )
}

interface OwnChanges {
  password?: string
  /** For a guest it makes a lasting account. */
  email?: string
  data?: { full_name: string }
}

/** What the user is called; empty for whoever has not said. */
export const nameOf = (user: User): string => {
  const told: unknown = user.user_metadata?.full_name
  return typeof told === 'string' ? told : ''
}

/** Changes what users may change of themselves. */
export const changeOwn = (changes: OwnChanges) => dataOf(theClient().auth.updateUser(changes))
