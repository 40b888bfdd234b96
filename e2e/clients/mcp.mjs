// An MCP client with a secret that an operator gave it, written with the
// TypeScript SDK as its documentation does. It knows the address of the API.
import assert from 'node:assert/strict'
import { randomUUID } from 'node:crypto'
import { Client, StreamableHTTPClientTransport, UnauthorizedError } from '@modelcontextprotocol/client'
import { altered, did, settings, signIn } from './person.mjs'

// provider is what an application stores for one user.
const stored = {}
const provider = {
  redirectUrl: settings.redirect_uri,
  clientMetadata: {
    client_name: 'TypeScript MCP',
    redirect_uris: [settings.redirect_uri],
    grant_types: ['authorization_code', 'refresh_token'],
  },
  clientInformation: () => ({ client_id: settings.client.id, client_secret: settings.client.secret, issuer: settings.issuer }),
  state: () => (stored.state = randomUUID()),
  tokens: () => stored.tokens,
  saveTokens: (tokens) => { stored.tokens = tokens },
  redirectToAuthorization: (url) => { stored.url = url },
  saveCodeVerifier: (verifier) => { stored.verifier = verifier },
  codeVerifier: () => stored.verifier,
  saveDiscoveryState: (state) => { stored.discovery = state },
  discoveryState: () => stored.discovery,
  invalidateCredentials: (scope) => { if (scope === 'all' || scope === 'tokens') delete stored.tokens },
}

async function connect() {
  const transport = new StreamableHTTPClientTransport(new URL(settings.api), { authProvider: provider })
  const client = new Client({ name: 'e2e', version: '1' })
  try {
    await client.connect(transport)
    return { client, transport }
  } catch (error) {
    return { error, transport }
  }
}

async function readNotes() {
  const { client, error } = await connect()
  if (error) throw error
  const { content } = await client.callTool({ name: 'read_notes', arguments: {} })
  assert.equal(content[0].text, 'the notes')
  await client.close()
}

const { transport, error } = await connect()
assert.ok(error instanceof UnauthorizedError, String(error))
const asked = stored.url.searchParams
assert.equal(asked.get('resource'), settings.api)
assert.deepEqual(new Set(asked.get('scope').split(' ')), new Set(['notes:read', 'offline_access']))
assert.equal(asked.get('code_challenge_method'), 'S256')
did('challenge, metadata, request')

const callback = await signIn(stored.url)
assert.equal(callback.searchParams.get('state'), stored.state)
await assert.rejects(transport.finishAuth(altered(callback, 'iss', 'https://evil.example').searchParams), { name: 'IssuerMismatchError' })
did('other issuer')

await transport.finishAuth(callback.searchParams)
assert.equal(stored.tokens.scope, 'notes:read offline_access')
await readNotes()
did('tool')

for (let i = 0; i < 2; i++) {
  const before = stored.tokens
  stored.tokens = { ...before, access_token: 'expired' }
  await readNotes()
  assert.notEqual(stored.tokens.refresh_token, before.refresh_token)
}
did('refresh, twice')

// A refresh token that is no good any more starts the flow again.
delete stored.url
stored.tokens = { ...stored.tokens, access_token: 'expired', refresh_token: 'x'.repeat(43) }
await assert.rejects(readNotes(), UnauthorizedError)
assert.ok(stored.url)
did('new authorization')
process.exit(0)
