// healthchecks.io's pinging API: 200 whatever happens, and the truth in the body. https://healthchecks.io/docs/http_api/

import { startProvider, type Provider } from './provider.ts';

/** A service that knows one check. */
export async function startHealthchecks({ check }: { readonly check: string }): Promise<Provider> {
  return startProvider(({ path }) => {
    const [id, added] = path.split('/').slice(1);
    if (added !== undefined && !['start', 'fail', 'log'].includes(added)) return { status: 400, body: 'invalid url' };
    return { status: 200, body: id === check ? 'OK' : 'OK (not found)' };
  });
}
