// An app that runs in the browser, on an origin of its own: every request but
// the two of the person is cross-origin.
import * as oauth from '/oauth4webapi.js'

const insecure = { [oauth.allowInsecureRequests]: true }
const none = oauth.None()
const { issuer, client_id, scope } = await (await fetch('/settings.json')).json()
const redirect_uri = location.origin + '/'
const client = { client_id }
const steps = []

const check = (ok, what) => {
  if (!ok) throw new Error(what)
}

async function discover() {
  const url = new URL(issuer)
  const [as, fromRoot] = await Promise.all(['oidc', 'oauth2'].map(async (algorithm) =>
    oauth.processDiscoveryResponse(url, await oauth.discoveryRequest(url, { algorithm, ...insecure }))))
  check(JSON.stringify(as) === JSON.stringify(fromRoot), 'two documents')
  return as
}

async function begin() {
  const as = await discover()
  const kept = { verifier: oauth.generateRandomCodeVerifier(), state: oauth.generateRandomState(), nonce: oauth.generateRandomNonce() }
  sessionStorage.setItem('kept', JSON.stringify(kept))
  const url = new URL(as.authorization_endpoint)
  url.search = new URLSearchParams({
    client_id, redirect_uri, scope, response_type: 'code', state: kept.state, nonce: kept.nonce,
    code_challenge: await oauth.calculatePKCECodeChallenge(kept.verifier), code_challenge_method: 'S256',
  })
  const link = Object.assign(document.createElement('a'), { id: 'start', href: url.href, textContent: 'Sign in' })
  document.body.append(link)
}

async function finish() {
  const as = await discover()
  steps.push('discovery')
  const kept = JSON.parse(sessionStorage.getItem('kept'))
  const answer = oauth.validateAuthResponse(as, client, new URL(location.href), kept.state)
  const response = await oauth.authorizationCodeGrantRequest(as, client, none, answer, redirect_uri, kept.verifier, insecure)
  const tokens = await oauth.processAuthorizationCodeResponse(as, client, response, { expectedNonce: kept.nonce, requireIdToken: true })
  steps.push('code')
  await oauth.validateApplicationLevelSignature(as, response, insecure)
  const { sub } = oauth.getValidatedIdTokenClaims(tokens)
  steps.push('ID token')
  const info = (token) => oauth.userInfoRequest(as, client, token, insecure).then((r) => oauth.processUserInfoResponse(as, client, sub, r))
  check((await info(tokens.access_token)).name === 'Alice', 'userinfo')
  steps.push('userinfo')
  const refreshed = await oauth.processRefreshTokenResponse(as, client,
    await oauth.refreshTokenGrantRequest(as, client, none, tokens.refresh_token, insecure))
  steps.push('refresh')
  await oauth.processRevocationResponse(await oauth.revocationRequest(as, client, none, refreshed.refresh_token, insecure))
  steps.push('revocation')
  // A browser shows the header to the app only where the server says so.
  const refused = await info(refreshed.access_token).catch((err) => err)
  check(refused instanceof oauth.WWWAuthenticateChallengeError && refused.cause[0].parameters.error === 'invalid_token', 'no challenge: ' + refused)
  steps.push('challenge')
}

try {
  if (location.search) {
    await finish()
    document.body.append(Object.assign(document.createElement('p'), { id: 'ended', textContent: steps.join(', ') }))
  } else {
    await begin()
  }
} catch (err) {
  document.body.append(Object.assign(document.createElement('p'), { id: 'ended', textContent: `after ${steps.join(', ')}: ${err}` }))
}
