// Which identity provider does the story of tests/oidc run against?
//
// oidc-provider with discovery, published keys and JWT access tokens for one audience. Each client stands for one caller;
// its tokens carry the claims below. POST /rotate puts another signing key in place, as a provider does in time.
// Usage: node provider.mjs PORT

import { createServer } from 'node:http';
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { Provider } from 'oidc-provider';

const port = Number(process.argv[2]);
const issuer = `http://127.0.0.1:${port}`;
const callers = {
  analyst: { preferred_username: 'analyst', groups: ['researchers'], amr: ['pwd', 'otp'] },
  'one-factor': { preferred_username: 'analyst', groups: ['researchers'], amr: ['pwd'] },
  nobody: { preferred_username: 'nobody-here', groups: ['researchers'], amr: ['otp'] },
  ambitious: { preferred_username: 'analyst', groups: ['auditors'], amr: ['otp'] },
};

function signingKey() {
  const { privateKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return { ...privateKey.export({ format: 'jwk' }), use: 'sig', alg: 'ES256', kid: randomUUID() };
}

function provider() {
  return new Provider(issuer, {
    jwks: { keys: [signingKey()] },
    clients: Object.keys(callers).map((id) => ({
      client_id: id,
      client_secret: `secret of ${id}`,
      grant_types: ['client_credentials'],
      redirect_uris: [],
      response_types: [],
      token_endpoint_auth_method: 'client_secret_post',
      id_token_signed_response_alg: 'ES256',
    })),
    clientAuthMethods: ['client_secret_post', 'client_secret_basic'],
    scopes: ['ask'],
    features: {
      devInteractions: { enabled: false },
      clientCredentials: { enabled: true },
      resourceIndicators: {
        enabled: true,
        defaultResource: () => 'urn:sekisho',
        useGrantedResource: () => true,
        getResourceServerInfo: (_, resource) => ({
          scope: 'ask',
          // The audience asked for, so that a token for another door can be had, too.
          audience: resource,
          accessTokenFormat: 'jwt',
          accessTokenTTL: 300,
          jwt: { sign: { alg: 'ES256' } },
        }),
      },
    },
    extraTokenClaims: (_, token) => callers[token.clientId],
  });
}

let current = provider().callback();
createServer((request, response) => {
  if (request.method === 'POST' && request.url === '/rotate') {
    current = provider().callback();
    response.end('rotated\n');
    return;
  }
  current(request, response);
}).listen(port, '127.0.0.1', () => console.log('ready'));
