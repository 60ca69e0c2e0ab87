// Signing up, in, around and out, as supabase-js does it; and the operator's list of people.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import {
  AuthApiError,
  AuthInvalidJwtError,
  AuthSessionMissingError,
  AuthWeakPasswordError,
} from '@supabase/supabase-js'
import { PASSWORD, aPerson, anApp, given, operator } from './apps.js'
import { check, dataOf, errorOf, sql } from './checks.js'

const BCRYPT_OF_AN_OLD_PASSWORD = '$2b$04$PEuWkt24XSQ/75xcTfwH9e89cMHbQ6wyMHxu4MklO1wd6lPbrZHC.'
const REFRESH_REUSE_SECONDS = 10

const signIn = (app, email, password = PASSWORD) => app.auth.signInWithPassword({ email, password })
const claimsIn = (token) => JSON.parse(Buffer.from(token.split('.')[1], 'base64url'))
const apiError = (error, status, code) => {
  assert.ok(error instanceof AuthApiError, `${error?.name}: ${error?.message}`)
  assert.deepEqual([error.status, error.code], [status, code], error.message)
  return error
}

await check('signing up gives a confirmed user and a session', async () => {
  const app = anApp()
  const email = `Ada.${randomUUID()}@Example.com`
  const options = { data: { name: 'Ada' }, emailRedirectTo: 'https://app.example' }
  const { user, session } = await dataOf(app.auth.signUp({ email, password: PASSWORD, options }))
  assert.equal(user.email, email.toLowerCase())
  assert.deepEqual(
    [user.role, user.aud, user.is_anonymous],
    ['authenticated', 'authenticated', false],
  )
  assert.deepEqual(user.app_metadata, { provider: 'email', providers: ['email'] })
  assert.equal(user.user_metadata.name, 'Ada')
  assert.ok(user.email_confirmed_at && user.created_at.endsWith('Z'))
  assert.deepEqual([session.token_type, session.expires_in], ['bearer', 3600])
  assert.deepEqual(session.user, user)
  const claims = claimsIn(session.access_token)
  assert.deepEqual([claims.sub, claims.role, claims.aal], [user.id, 'authenticated', 'aal1'])
  assert.equal(claims.iss, `${given.url}/auth/v1`)
  const identities = await dataOf(app.auth.getUserIdentities())
  assert.deepEqual(
    identities.identities.map(({ provider }) => provider),
    ['email'],
  )
})

await check('an address can sign up once', async () => {
  const { email } = await aPerson()
  const error = await errorOf(anApp().auth.signUp({ email, password: PASSWORD }))
  assert.equal(apiError(error, 422, 'user_already_exists').message, 'User already registered')
})

await check('a weak password says why it is weak', async () => {
  const error = await errorOf(anApp().auth.signUp({ email: 'weak@example.com', password: 'abc' }))
  assert.ok(error instanceof AuthWeakPasswordError, error.name)
  assert.deepEqual([error.status, error.code, error.reasons], [422, 'weak_password', ['length']])
})

await check('an address that is none and a missing password are refused', async () => {
  for (const credentials of [
    { email: 'not an address', password: PASSWORD },
    { email: 'ada@example.com', password: '' },
  ])
    apiError(await errorOf(anApp().auth.signUp(credentials)), 400, 'validation_failed')
})

await check('signing in gives a session of its own', async () => {
  const { app, email, id, token } = await aPerson()
  const events = []
  const other = anApp()
  other.auth.onAuthStateChange((event) => events.push(event))
  const { user, session } = await dataOf(signIn(other, email))
  assert.equal(user.id, id)
  assert.notEqual(claimsIn(session.access_token).session_id, claimsIn(token).session_id)
  assert.equal((await dataOf(other.auth.getUser())).user.id, id)
  assert.equal((await dataOf(app.auth.getUser(session.access_token))).user.id, id)
  await dataOf(other.auth.signOut())
  assert.deepEqual(events, ['INITIAL_SESSION', 'SIGNED_IN', 'SIGNED_OUT'])
})

await check('a wrong password and an unknown address look alike', async () => {
  const { email } = await aPerson()
  const app = anApp()
  const wrong = await errorOf(signIn(app, email, 'wrong horse'))
  const unknown = await errorOf(signIn(app, 'nobody@example.com', 'wrong horse'))
  for (const error of [wrong, unknown]) apiError(error, 400, 'invalid_credentials')
  assert.equal(wrong.message, 'Invalid login credentials')
  assert.equal(wrong.message, unknown.message)
})

await check('an anonymous user becomes a permanent one and stays the same', async () => {
  const app = anApp()
  const options = { data: { theme: 'dark' } }
  const { user, session } = await dataOf(app.auth.signInAnonymously({ options }))
  assert.deepEqual([user.is_anonymous, user.email, user.identities], [true, '', []])
  assert.deepEqual([user.app_metadata, user.user_metadata], [{}, { theme: 'dark' }])
  assert.equal(claimsIn(session.access_token).is_anonymous, true)
  const email = `${randomUUID()}@example.com`
  const changed = (await dataOf(app.auth.updateUser({ email, password: PASSWORD }))).user
  assert.deepEqual([changed.id, changed.email, changed.is_anonymous], [user.id, email, false])
  assert.equal((await dataOf(signIn(anApp(), email))).user.id, user.id)
})

await check('refreshing gives the next token of the same session', async () => {
  const { app } = await aPerson()
  const events = []
  const { session: before } = await dataOf(app.auth.getSession())
  app.auth.onAuthStateChange((event) => events.push(event))
  const { session: after } = await dataOf(app.auth.refreshSession())
  assert.notEqual(after.refresh_token, before.refresh_token)
  const [old, young] = [claimsIn(before.access_token), claimsIn(after.access_token)]
  assert.equal(young.session_id, old.session_id)
  assert.equal(young.amr[0].method, 'password')
  assert.ok(events.includes('TOKEN_REFRESHED'), String(events))
  assert.equal((await dataOf(app.auth.getUser())).user.id, old.sub)
})

await check('a refresh whose answer was lost can be asked for again', async () => {
  const { app } = await aPerson()
  const { session: first } = await dataOf(app.auth.getSession())
  const { session: second } = await dataOf(app.auth.refreshSession())
  const again = await dataOf(anApp().auth.refreshSession({ refresh_token: first.refresh_token }))
  assert.equal(again.session.refresh_token, second.refresh_token)
})

await check('a stolen refresh token ends the session of both', async () => {
  const { app, id } = await aPerson()
  const { session: first } = await dataOf(app.auth.getSession())
  await dataOf(app.auth.refreshSession())
  await dataOf(app.auth.refreshSession())
  await sql(
    `update auth.refresh_tokens set updated_at = updated_at - interval '1 second' * $2::text::int
     where user_id = $1::text`,
    id,
    String(REFRESH_REUSE_SECONDS + 1),
  )
  const thief = anApp()
  const theft = await errorOf(thief.auth.refreshSession({ refresh_token: first.refresh_token }))
  assert.equal(
    apiError(theft, 400, 'refresh_token_already_used').message,
    'Invalid Refresh Token: Already Used',
  )
  apiError(await errorOf(app.auth.refreshSession()), 400, 'refresh_token_already_used')
  const invented = await errorOf(thief.auth.refreshSession({ refresh_token: 'invented' }))
  apiError(invented, 400, 'refresh_token_not_found')
})

await check('a session can be carried over, also when its access token has expired', async () => {
  const { app, id } = await aPerson()
  const { session } = await dataOf(app.auth.getSession())
  const { access_token, refresh_token } = session
  const other = anApp()
  assert.equal((await dataOf(other.auth.setSession({ access_token, refresh_token }))).user.id, id)
  const [head, , signature] = access_token.split('.')
  const past = { ...claimsIn(access_token), exp: Math.floor(Date.now() / 1000) - 10 }
  const body = Buffer.from(JSON.stringify(past)).toString('base64url')
  const expired = [head, body, signature].join('.')
  const third = await dataOf(anApp().auth.setSession({ access_token: expired, refresh_token }))
  assert.equal(third.user.id, id)
  assert.notEqual(third.session.access_token, access_token)
})

await check('who is signed in is asked of the server', async () => {
  const app = anApp()
  const missing = await errorOf(app.auth.getUser())
  assert.ok(missing instanceof AuthSessionMissingError, missing.name)
  const { token } = await aPerson()
  apiError(await errorOf(app.auth.getUser('a.b.c')), 403, 'bad_jwt')
  const forged = token.slice(0, -6) + (token.endsWith('AAAAAA') ? 'BBBBBB' : 'AAAAAA')
  apiError(await errorOf(app.auth.getUser(forged)), 403, 'bad_jwt')
  apiError(await errorOf(app.auth.getUser(given.anonKey)), 403, 'bad_jwt')
})

await check('metadata is merged key by key', async () => {
  const { app, id } = await aPerson()
  await dataOf(app.auth.updateUser({ data: { name: 'Ada', theme: 'dark' } }))
  const { user } = await dataOf(app.auth.updateUser({ data: { theme: null, size: { x: 1 } } }))
  assert.equal(user.id, id)
  const { name, theme, size } = user.user_metadata
  assert.deepEqual([name, theme, size], ['Ada', undefined, { x: 1 }])
  const { session } = await dataOf(app.auth.refreshSession())
  assert.equal(claimsIn(session.access_token).user_metadata.name, 'Ada')
})

await check('a new password replaces the old one and ends the other sessions', async () => {
  const { app, email } = await aPerson()
  const other = anApp()
  await dataOf(signIn(other, email))
  apiError(await errorOf(app.auth.updateUser({ password: PASSWORD })), 422, 'same_password')
  const weak = await errorOf(app.auth.updateUser({ password: 'abc' }))
  assert.ok(weak instanceof AuthWeakPasswordError, weak.name)
  await dataOf(app.auth.updateUser({ password: 'another horse' }))
  apiError(await errorOf(signIn(anApp(), email)), 400, 'invalid_credentials')
  await dataOf(signIn(anApp(), email, 'another horse'))
  assert.ok((await dataOf(app.auth.getUser())).user)
  const gone = await errorOf(other.auth.getUser())
  assert.ok(gone instanceof AuthSessionMissingError, gone.name)
})

await check('nobody takes the address of another', async () => {
  const [ada, bob] = [await aPerson(), await aPerson()]
  apiError(await errorOf(bob.app.auth.updateUser({ email: ada.email })), 422, 'email_exists')
})

await check('signing out ends this session, the others, or all', async () => {
  const { email } = await aPerson()
  const apps = [anApp(), anApp(), anApp()]
  for (const app of apps) await dataOf(signIn(app, email))
  const [here, there, elsewhere] = apps
  const alive = async () =>
    Promise.all(
      apps.map(async (app) => {
        const { data, error } = await app.auth.getUser()
        if (error) assert.ok(error instanceof AuthSessionMissingError, `${error.name}`)
        return Boolean(data.user)
      }),
    )
  await dataOf(there.auth.signOut({ scope: 'local' }))
  assert.deepEqual(await alive(), [true, false, true])
  await dataOf(signIn(there, email))
  await dataOf(here.auth.signOut({ scope: 'others' }))
  assert.deepEqual(await alive(), [true, false, false])
  await dataOf(signIn(there, email))
  const { session } = await dataOf(there.auth.getSession())
  await dataOf(here.auth.signOut())
  assert.deepEqual(await alive(), [false, false, false])
  const kept = await errorOf(anApp().auth.refreshSession(session))
  assert.equal(apiError(kept, 400, 'refresh_token_not_found').name, 'AuthApiError')
  assert.equal((await dataOf(elsewhere.auth.getSession())).session, null)
})

await check('claims are verified with the published key, without asking who it is', async () => {
  const asked = []
  const counted = (url, options) => {
    asked.push(new URL(url).pathname)
    return fetch(url, options)
  }
  const { app, id, token } = await aPerson({ global: { fetch: counted } })
  asked.length = 0
  const { claims, header } = await dataOf(app.auth.getClaims())
  assert.deepEqual([claims.sub, claims.role, header.alg], [id, 'authenticated', 'ES256'])
  await dataOf(app.auth.getClaims(token))
  assert.deepEqual(asked, ['/auth/v1/.well-known/jwks.json'])
  const [head, body, signature] = token.split('.')
  const other = Buffer.from(JSON.stringify({ ...claims, sub: randomUUID() })).toString('base64url')
  const forged = await errorOf(app.auth.getClaims([head, other, signature].join('.')))
  assert.ok(forged instanceof AuthInvalidJwtError, `${forged.name}: ${forged.message}`)
  const none = Buffer.from('{"alg":"none","typ":"JWT"}').toString('base64url')
  const bare = await errorOf(app.auth.getClaims(`${none}.${body}.AAAA`))
  assert.equal(bare.code === 'invalid_jwt' || bare.code === 'bad_jwt', true, bare.code)
})

await check('settings, health and keys tell what is here', async () => {
  const read = async (path) =>
    (await fetch(`${given.url}/auth/v1${path}`, { headers: { apikey: given.anonKey } })).json()
  const settings = await read('/settings')
  assert.deepEqual(
    [settings.external.email, settings.external.anonymous_users, settings.external.google],
    [true, true, false],
  )
  assert.deepEqual([settings.disable_signup, settings.mailer_autoconfirm], [false, true])
  assert.equal((await read('/health')).name, 'GoTrue')
  const { keys } = await read('/.well-known/jwks.json')
  assert.ok(keys.length > 0)
  for (const key of keys) {
    assert.deepEqual([key.kty, key.alg, key.use, key.d], ['EC', 'ES256', 'sig', undefined])
    assert.ok(key.key_ops.includes('verify'))
  }
})

await check('what is not enabled says so', async () => {
  const { app, email } = await aPerson()
  const { auth } = app
  const calls = {
    otp_disabled: () => auth.signInWithOtp({ email }),
    otp_expired: () => auth.verifyOtp({ email, token: '123456', type: 'email' }),
    email_provider_disabled: () => auth.resetPasswordForEmail(email),
    phone_provider_disabled: () => auth.signUp({ phone: '+4912345', password: PASSWORD }),
    provider_disabled: () => auth.signInWithIdToken({ provider: 'google', token: 'x' }),
    saml_provider_disabled: () => auth.signInWithSSO({ domain: 'example.com' }),
    mfa_totp_enroll_not_enabled: () => auth.mfa.enroll({ factorType: 'totp' }),
    mfa_factor_not_found: () => auth.mfa.challenge({ factorId: randomUUID() }),
    manual_linking_disabled: () =>
      auth.linkIdentity({ provider: 'google', options: { skipBrowserRedirect: true } }),
  }
  const seen = {}
  for (const [code, call] of Object.entries(calls)) {
    const error = await errorOf(call())
    assert.ok(error.message && error.status < 500, code)
    seen[code] = error.code
  }
  assert.deepEqual(Object.values(seen), Object.keys(calls))
  const mail = [auth.resend({ type: 'signup', email }), auth.reauthenticate()]
  for (const call of mail) apiError(await errorOf(call), 422, 'email_provider_disabled')
  const factors = await dataOf(auth.mfa.listFactors())
  assert.deepEqual(factors.all, [])
})

await check('a browser that follows a provider is told that it is not enabled', async () => {
  const options = { skipBrowserRedirect: true }
  const { url } = await dataOf(anApp().auth.signInWithOAuth({ provider: 'github', options }))
  const answer = await fetch(url, { redirect: 'manual' })
  assert.equal(answer.status, 400)
  const told = await answer.json()
  assert.equal(told.error_code, 'validation_failed')
  assert.match(told.msg, /not enabled/)
})

await check('the operator creates, finds, changes and deletes people', async () => {
  const { admin } = operator().auth
  const email = `${randomUUID()}@example.com`
  const asked = {
    email,
    password: PASSWORD,
    email_confirm: true,
    user_metadata: { name: 'Bob' },
    app_metadata: { plan: 'free' },
  }
  const { user } = await dataOf(admin.createUser(asked))
  assert.deepEqual(user.app_metadata, { plan: 'free', provider: 'email', providers: ['email'] })
  assert.equal((await dataOf(admin.getUserById(user.id))).user.email, email)
  apiError(await errorOf(admin.createUser(asked)), 422, 'email_exists')
  const app = anApp()
  await dataOf(signIn(app, email))

  const changes = { user_metadata: { size: 1 }, app_metadata: { plan: 'pro' } }
  const { user: changed } = await dataOf(admin.updateUserById(user.id, changes))
  assert.equal(changed.user_metadata.name, 'Bob')
  assert.equal(changed.user_metadata.size, 1)
  assert.deepEqual([changed.app_metadata.plan, changed.app_metadata.provider], ['pro', 'email'])
  await dataOf(admin.updateUserById(user.id, { ban_duration: '1h' }))
  apiError(await errorOf(signIn(anApp(), email)), 400, 'user_banned')
  await dataOf(admin.updateUserById(user.id, { ban_duration: 'none', password: 'another horse' }))
  await dataOf(signIn(anApp(), email, 'another horse'))

  await dataOf(admin.deleteUser(user.id))
  apiError(await errorOf(admin.getUserById(user.id)), 404, 'user_not_found')
  apiError(await errorOf(admin.deleteUser(user.id)), 404, 'user_not_found')
  apiError(await errorOf(signIn(anApp(), email)), 400, 'invalid_credentials')
  assert.ok(await errorOf(app.auth.getUser()))
})

await check('the operator pages through everybody', async () => {
  const { admin } = operator().auth
  for (let made = 0; made < 3; made += 1)
    await dataOf(admin.createUser({ email: `${randomUUID()}@example.com` }))
  const all = await dataOf(admin.listUsers())
  assert.ok(all.users.length >= 3)
  const first = await dataOf(admin.listUsers({ page: 1, perPage: 2 }))
  const second = await dataOf(admin.listUsers({ page: 2, perPage: 2 }))
  assert.equal(first.users.length, 2)
  assert.equal(first.total, all.users.length)
  assert.equal(first.nextPage, 2)
  const ids = new Set([...first.users, ...second.users].map(({ id }) => id))
  assert.equal(ids.size, first.users.length + second.users.length)
})

await check('a password kept by Supabase goes on working', async () => {
  const email = `${randomUUID()}@example.com`
  const moved = { email, password_hash: BCRYPT_OF_AN_OLD_PASSWORD, email_confirm: true }
  const { user } = await dataOf(operator().auth.admin.createUser(moved))
  const { user: same } = await dataOf(signIn(anApp(), email, 'an old password'))
  assert.equal(same.id, user.id)
  apiError(await errorOf(signIn(anApp(), email)), 400, 'invalid_credentials')
})

await check('the operator signs somebody out', async () => {
  const { app, token } = await aPerson()
  await dataOf(operator().auth.admin.signOut(token, 'global'))
  assert.ok((await errorOf(app.auth.getUser())) instanceof AuthSessionMissingError)
})

await check('nobody else is the operator', async () => {
  const { app, id } = await aPerson()
  const calls = (admin) => [
    admin.createUser({ email: `${randomUUID()}@example.com` }),
    admin.listUsers(),
    admin.getUserById(id),
    admin.updateUserById(id, { user_metadata: { a: 1 } }),
    admin.deleteUser(id),
    admin.inviteUserByEmail('ada@example.com'),
  ]
  for (const call of [
    ...calls(anApp().auth.admin),
    ...calls(anApp(given.publishableKey).auth.admin),
  ])
    assert.ok([401, 403].includes((await errorOf(call)).status))
  assert.equal((await dataOf(app.auth.getUser())).user.id, id)
})

await check('the operator is told that mail is not enabled', async () => {
  const { admin } = operator().auth
  const invited = admin.inviteUserByEmail('ada@example.com')
  apiError(await errorOf(invited), 422, 'email_provider_disabled')
  const link = admin.generateLink({ type: 'magiclink', email: 'ada@example.com' })
  apiError(await errorOf(link), 422, 'email_provider_disabled')
})

await check('keys of both kinds open every door', async () => {
  for (const key of [given.anonKey, given.publishableKey]) {
    const { app, id } = await aPerson({}, key)
    assert.equal((await dataOf(app.auth.getUser())).user.id, id)
    assert.deepEqual(await dataOf(app.from('jobs').select('id')), [])
    assert.deepEqual(await dataOf(app.storage.from('uploads').list(id)), [])
    const stranger = anApp(key)
    assert.equal((await errorOf(stranger.from('jobs').select('id'))).code, '42501')
    assert.deepEqual(await dataOf(stranger.storage.from('uploads').list('x')), [])
  }
  for (const key of [given.serviceKey, given.secretKey]) {
    const app = anApp(key)
    assert.ok((await dataOf(app.auth.admin.listUsers())).users.length > 0)
    assert.deepEqual(await dataOf(app.from('jobs').select('id')), [])
    assert.ok((await dataOf(app.storage.listBuckets())).length > 0)
  }
})

await check('a key of another project opens none', async () => {
  const wrong = [
    'sb_publishable_AAAAAAAAAAAAAAAAAAAAAA_AAAAAAAA',
    'sb_secret_x',
    'x',
    given.anonKey.slice(0, -4) + 'AAAA',
  ]
  for (const key of wrong) {
    const app = anApp(key)
    assert.equal((await errorOf(signIn(app, 'ada@example.com'))).status, 401, key)
    const { status } = await app.from('jobs').select('id')
    assert.equal(status, 401, key)
    assert.ok(await errorOf(app.storage.listBuckets()), key)
    assert.equal(
      (await errorOf(app.functions.invoke('generate-image', { body: {} }))).context.status,
      401,
    )
  }
})

process.exit(0)
