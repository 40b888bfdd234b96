// A public client that finds everything from a challenge of the API, and a
// resource server, written with oauth4webapi as its documentation does.
import assert from 'node:assert/strict'
import * as oauth from 'oauth4webapi'
import { altered, did, settings, signIn } from './person.mjs'

const { api, redirect_uri } = settings
// The host under test listens on loopback without TLS.
const insecure = { [oauth.allowInsecureRequests]: true }
const notes = (token) => oauth.protectedResourceRequest(token, 'GET', new URL(api + '/notes'), undefined, undefined, insecure)

// RFC 9728: a request without a good token says where to begin.
let metadataURL
await assert.rejects(notes('none'), (err) => {
  assert.ok(err instanceof oauth.WWWAuthenticateChallengeError)
  assert.equal(err.cause.length, 1)
  metadataURL = err.cause[0].parameters.resource_metadata
  assert.equal(err.cause[0].parameters.scope, 'notes:read')
  return true
})
did('challenge')

const identifier = new URL(api)
const byChallenge = await oauth.processResourceDiscoveryResponse(identifier, await fetch(metadataURL))
const resource = await oauth.processResourceDiscoveryResponse(identifier, await oauth.resourceDiscoveryRequest(identifier, insecure))
assert.deepEqual(resource, byChallenge)
assert.deepEqual(resource.scopes_supported, ['notes:read'])
did('resource metadata')

const issuer = new URL(resource.authorization_servers[0])
const discover = async (algorithm) =>
  oauth.processDiscoveryResponse(issuer, await oauth.discoveryRequest(issuer, { algorithm, ...insecure }))
const as = await discover('oauth2')
assert.deepEqual(as, await discover('oidc'))
assert.equal(as.issuer, settings.issuer)
assert.ok(as.protected_resources.includes(resource.resource))
did('discovery, both forms')

const client = { client_id: settings.client.id }
const none = oauth.None()

async function authorize(parameters = {}) {
  const verifier = oauth.generateRandomCodeVerifier()
  const state = oauth.generateRandomState()
  const nonce = oauth.generateRandomNonce()
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({
    client_id: client.client_id,
    redirect_uri,
    response_type: 'code',
    scope: 'openid profile notes:read offline_access',
    resource: resource.resource,
    code_challenge: await oauth.calculatePKCECodeChallenge(verifier),
    code_challenge_method: 'S256',
    state,
    nonce,
    ...parameters,
  })
  return { url, verifier, state, nonce }
}

const request = await authorize()
const callback = await signIn(request.url)
for (const iss of ['https://evil.example', undefined]) {
  assert.throws(() => oauth.validateAuthResponse(as, client, altered(callback, 'iss', iss), request.state), { name: 'OperationProcessingError' })
}
const answer = oauth.validateAuthResponse(as, client, callback, request.state)
did('iss')

const redeem = (verifier) => oauth.authorizationCodeGrantRequest(as, client, none, answer, redirect_uri, verifier,
  { additionalParameters: { resource: resource.resource }, ...insecure })
await assert.rejects(
  oauth.processAuthorizationCodeResponse(as, client, await redeem(oauth.generateRandomCodeVerifier())),
  { name: 'ResponseBodyError', status: 400, error: 'invalid_grant' })
did('wrong verifier')

const response = await redeem(request.verifier)
const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: request.nonce, requireIdToken: true })
assert.equal(tokens.scope, 'openid profile notes:read offline_access')
did('code with resource')

await oauth.validateApplicationLevelSignature(as, response, insecure)
const { sub } = oauth.getValidatedIdTokenClaims(tokens)
assert.equal(sub, 'user-7')
did('ID token')

assert.equal(await (await notes(tokens.access_token)).text(), 'the notes')
did('API')

// The same API in another service, which knows the keys and asks nobody (RFC 9068).
const claims = await oauth.validateJwtAccessToken(as,
  new Request(api + '/notes', { headers: { authorization: `Bearer ${tokens.access_token}` } }), resource.resource, insecure)
assert.equal(claims.sub, sub)
assert.equal(claims.client_id, client.client_id)
did('JWT access token')

// Userinfo is the issuer's own resource, and has a token of its own.
const refresh = async (token, additionalParameters) => oauth.processRefreshTokenResponse(as, client,
  await oauth.refreshTokenGrantRequest(as, client, none, token, { additionalParameters, ...insecure }))
const second = await refresh(tokens.refresh_token, { resource: as.issuer })
const userinfo = await oauth.processUserInfoResponse(as, client, sub, await oauth.userInfoRequest(as, client, second.access_token, insecure))
assert.equal(userinfo.name, 'Alice')
did('userinfo')

const third = await refresh(second.refresh_token)
assert.equal(new Set([tokens, second, third].map((t) => t.refresh_token)).size, 3)
assert.equal(await (await notes(third.access_token)).text(), 'the notes')
did('refresh, twice')

const service = { client_id: settings.service.id }
const basic = oauth.ClientSecretBasic(settings.service.secret)
const introspect = async (token) => oauth.processIntrospectionResponse(as, service,
  await oauth.introspectionRequest(as, service, basic, token, insecure))
const seen = await introspect(third.access_token)
assert.equal(seen.active, true)
assert.equal(seen.sub, sub)
assert.deepEqual(await introspect(third.refresh_token), { active: false })
did('introspection')

await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, none, third.refresh_token, insecure))
assert.deepEqual(await introspect(third.access_token), { active: false })
await assert.rejects(refresh(third.refresh_token), { name: 'ResponseBodyError', error: 'invalid_grant' })
did('revocation')

// Errors that come at once, before anybody signs in.
async function refused(parameters, error) {
  const { url, state } = await authorize(parameters)
  const answered = await fetch(url, { redirect: 'manual' })
  assert.throws(() => oauth.validateAuthResponse(as, client, new URL(answered.headers.get('location')), state),
    { name: 'AuthorizationResponseError', error })
}
await refused({ scope: 'openid notes:shred' }, 'invalid_scope')
did('unknown scope')
await refused({ resource: 'https://elsewhere.example/' }, 'invalid_target')
did('unknown resource')

const own = await oauth.processClientCredentialsResponse(as, service,
  await oauth.clientCredentialsGrantRequest(as, service, basic, { scope: 'notes:read', resource: resource.resource }, insecure))
assert.equal(await (await notes(own.access_token)).text(), 'the notes')
did('client credentials')
process.exit(0)
