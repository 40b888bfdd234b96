// npm oidc-provider with its memory adapter, for the load generator: prints the
// line of bench/internal/ready once it accepts connections. Who signs in is
// decided without a page, and the session cookie is remembered afterwards, so
// that a flow is authorize and token.
import { generateKeyPairSync } from 'node:crypto';
import { createServer } from 'node:http';
import Provider from 'oidc-provider';

const workload = process.argv[2];
const [kind, format] = workload.split('/');
const redirectURI = 'https://app.example/callback';
const secret = '6S2LoKDLHRpScyMxqbqgIX2hvXO5hlvY9Dl2SVJBCfQ';
const resource = 'https://api.example';
const verifier = 'dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk';
const challenge = 'E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM';

// The library says on the console what a deployment should change.
console.info = console.warn = () => {};

const server = createServer();
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve));
const addr = `127.0.0.1:${server.address().port}`;

const key = (type, options, alg, kid) => ({ ...generateKeyPairSync(type, options).privateKey.export({ format: 'jwk' }), alg, kid, use: 'sig' });
const provider = new Provider(`http://${addr}`, {
  jwks: { keys: [key('rsa', { modulusLength: 2048 }, 'RS256', 'r'), key('ec', { namedCurve: 'P-256' }, 'ES256', 'e')] },
  cookies: { keys: ['not a secret of anybody'] },
  clients: [{
    client_id: 'app', client_secret: secret, redirect_uris: [redirectURI], response_types: ['code'],
    grant_types: ['authorization_code', 'client_credentials'], scope: 'openid profile notes:read',
    id_token_signed_response_alg: kind === 'code' ? format : 'RS256',
  }],
  scopes: ['openid', 'profile', 'notes:read'],
  findAccount: (ctx, sub) => ({ accountId: sub, claims: () => ({ sub }) }),
  interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
  ttl: { AccessToken: 600, ClientCredentials: 600, IdToken: 600, AuthorizationCode: 60, Interaction: 600, Session: 86400, Grant: 86400 },
  features: {
    clientCredentials: { enabled: true },
    introspection: { enabled: true },
    devInteractions: { enabled: false },
    resourceIndicators: {
      enabled: format !== 'opaque' && kind === 'client_credentials',
      defaultResource: () => resource,
      getResourceServerInfo: () => ({ scope: 'notes:read', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 600, jwt: { sign: { alg: format } } }),
    },
  },
});

const handle = provider.callback();
server.on('request', (req, res) => (req.url.startsWith('/interaction/') ? interact(req, res) : handle(req, res)));

// interact signs a user in and consents for them.
async function interact(req, res) {
  try {
    const { params, session } = await provider.interactionDetails(req, res);
    const accountId = session?.accountId ?? 'user-1';
    const grant = new provider.Grant({ accountId, clientId: params.client_id });
    grant.addOIDCScope(params.scope);
    const grantId = await grant.save();
    await provider.interactionFinished(req, res, { login: { accountId }, consent: { grantId } });
  } catch (err) {
    res.writeHead(500).end(String(err));
  }
}

const header = {
  'Content-Type': 'application/x-www-form-urlencoded',
  Authorization: `Basic ${Buffer.from(`app:${secret}`).toString('base64')}`,
};
const machine = { method: 'POST', path: '/token', header, body: 'grant_type=client_credentials&scope=notes%3Aread' };

async function machineToken() {
  const response = await fetch(`http://${addr}${machine.path}`, { method: 'POST', headers: header, body: machine.body });
  return (await response.json()).access_token;
}

async function offer() {
  switch (kind) {
    case 'client_credentials':
      return { want: '"access_token"', requests: [machine] };
    case 'introspection': {
      const tokens = [];
      for (let i = 0; i < 64; i += 1) tokens.push(await machineToken());
      return { want: '"active":true', requests: tokens.map((token) => ({ method: 'POST', path: '/token/introspection', header, body: `token=${encodeURIComponent(token)}` })) };
    }
    case 'code': {
      const query = new URLSearchParams({ response_type: 'code', client_id: 'app', redirect_uri: redirectURI, scope: 'openid profile', nonce: 'n-0S6_WzA2Mj', code_challenge: challenge, code_challenge_method: 'S256' });
      const body = new URLSearchParams({ grant_type: 'authorization_code', redirect_uri: redirectURI, code_verifier: verifier });
      return { want: '"id_token"', code: { authorize: `/auth?${query}`, redirectURI, token: { method: 'POST', path: '/token', header, body: body.toString() } } };
    }
    default:
      throw new Error(`no workload ${workload}`);
  }
}

process.stdin.on('close', () => process.exit(0)).resume();
console.log(JSON.stringify({ addr, workloads: { [workload]: await offer() } }));
