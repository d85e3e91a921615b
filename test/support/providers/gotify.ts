// Gotify's POST /message. https://gotify.net/api-docs

import { startProvider, type Provider } from './provider.ts';

/** A service that knows the token of one application. */
export async function startGotify({ token }: { readonly token: string }): Promise<Provider> {
  return startProvider(({ method, path, headers }) => {
    if (path === '/health') return { status: 200, body: { health: 'green', database: 'green' } };
    if (method !== 'POST' || path !== '/message') return { status: 404, body: { error: 'Not Found', errorCode: 404 } };
    if (headers['x-gotify-key'] === token) return { status: 200, body: { id: 1 } };
    const errorDescription = 'you need to provide a valid access token or user credentials to access this api';
    return { status: 401, body: { error: 'Unauthorized', errorCode: 401, errorDescription } };
  });
}
