// A confidential client and a service, written with openid-client as its
// documentation does.
import assert from 'node:assert/strict'
import * as client from 'openid-client'
import { altered, did, settings, signIn } from './person.mjs'

const { issuer, api, redirect_uri } = settings
const server = new URL(issuer)
// The host under test listens on loopback without TLS.
const execute = [client.allowInsecureRequests, client.enableNonRepudiationChecks]

// What `lockspire client create` registers is client_secret_basic; the library's
// own default is client_secret_post.
const discover = (algorithm) => client.discovery(server, settings.client.id, undefined,
  client.ClientSecretBasic(settings.client.secret), { algorithm, execute })
const config = await discover('oidc')
const { ...fromRoot } = (await discover('oauth2')).serverMetadata()
assert.deepEqual({ ...config.serverMetadata() }, fromRoot)
assert.equal(fromRoot.issuer, issuer)
did('discovery, both forms')

async function authorize(decision) {
  const checks = {
    pkceCodeVerifier: client.randomPKCECodeVerifier(),
    expectedState: client.randomState(),
    expectedNonce: client.randomNonce(),
    maxAge: 3600,
    idTokenExpected: true,
  }
  const url = client.buildAuthorizationUrl(config, {
    redirect_uri,
    scope: 'openid profile notes:read offline_access',
    resource: api,
    code_challenge: await client.calculatePKCECodeChallenge(checks.pkceCodeVerifier),
    code_challenge_method: 'S256',
    state: checks.expectedState,
    nonce: checks.expectedNonce,
    max_age: String(checks.maxAge),
  })
  return [await signIn(url, decision), checks]
}

const [callback, checks] = await authorize()
assert.equal(config.serverMetadata().authorization_response_iss_parameter_supported, true)
assert.equal(callback.searchParams.get('iss'), issuer)
did('state, nonce, PKCE, iss')

await assert.rejects(client.authorizationCodeGrant(config, altered(callback, 'code', 'x'.repeat(43)), checks),
  { name: 'ResponseBodyError', status: 400, error: 'invalid_grant' })
did('wrong code')

const tokens = await client.authorizationCodeGrant(config, callback, checks)
const { sub, auth_time, sid } = tokens.claims()
assert.equal(sub, 'user-7')
assert.ok(auth_time && sid)
did('ID token')

// The token is for the API that was named, and for nothing else.
const notes = (token) => client.fetchProtectedResource(config, token, new URL(api + '/notes'), 'GET')
assert.equal(await (await notes(tokens.access_token)).text(), 'the notes')
await assert.rejects(client.fetchUserInfo(config, tokens.access_token, sub), { name: 'WWWAuthenticateChallengeError', status: 401 })
did('API')

// Userinfo is the issuer's own resource, and has a token of its own.
const second = await client.refreshTokenGrant(config, tokens.refresh_token, { resource: issuer })
assert.equal((await client.fetchUserInfo(config, second.access_token, sub)).name, 'Alice')
did('userinfo')

const third = await client.refreshTokenGrant(config, second.refresh_token, { scope: 'openid notes:read' })
assert.equal(second.claims().sub, sub)
assert.equal(second.claims().auth_time, auth_time)
assert.equal(third.scope, 'openid notes:read')
assert.equal(new Set([tokens, second, third].map((t) => t.refresh_token)).size, 3)
assert.equal(new Set([tokens, second, third].map((t) => t.access_token)).size, 3)
did('refresh, twice')

const active = await client.tokenIntrospection(config, third.access_token)
assert.equal(active.active, true)
assert.equal(active.sub, sub)
assert.equal(active.client_id, settings.client.id)
assert.deepEqual(await client.tokenIntrospection(config, second.refresh_token), { active: false })
did('introspection')

await client.tokenRevocation(config, third.refresh_token, { token_type_hint: 'refresh_token' })
await assert.rejects(client.refreshTokenGrant(config, third.refresh_token),
  { name: 'ResponseBodyError', status: 400, error: 'invalid_grant' })
await assert.rejects(notes(third.access_token), (err) => {
  assert.ok(err instanceof client.WWWAuthenticateChallengeError)
  assert.equal(err.status, 401)
  assert.equal(err.cause[0].parameters.error, 'invalid_token')
  return true
})
assert.deepEqual(await client.tokenIntrospection(config, third.access_token), { active: false })
did('revocation')

const [denied, deniedChecks] = await authorize('deny')
await assert.rejects(client.authorizationCodeGrant(config, denied, deniedChecks),
  { name: 'AuthorizationResponseError', error: 'access_denied' })
did('denied')

// Another server's answer, or one without iss, never reaches the token endpoint
// (RFC 9207 §2.4).
const [mixed, mixedChecks] = await authorize()
for (const iss of ['https://evil.example', undefined]) {
  await assert.rejects(client.authorizationCodeGrant(config, altered(mixed, 'iss', iss), mixedChecks), { name: 'ClientError' })
}
assert.ok((await client.authorizationCodeGrant(config, mixed, mixedChecks)).access_token)
did('other issuer')

const asService = (secret) => client.discovery(server, settings.service.id, undefined, client.ClientSecretPost(secret), { execute })
const own = await client.clientCredentialsGrant(await asService(settings.service.secret), { scope: 'notes:read', resource: api })
assert.equal(own.refresh_token, undefined)
assert.equal(await (await notes(own.access_token)).text(), 'the notes')
did('client credentials')

// With the secret in the body there is no challenge, just the error.
await assert.rejects(client.clientCredentialsGrant(await asService('wrong'), { scope: 'notes:read' }),
  { name: 'ResponseBodyError', status: 401, error: 'invalid_client' })
did('wrong secret')
process.exit(0)
