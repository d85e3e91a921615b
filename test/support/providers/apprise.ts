// Apprise's API: 204 for a key without a configuration, 424 when what it passes on to failed.
// https://appriseit.com/api/reference/response-codes/

import { startProvider, type Provider } from './provider.ts';

/** A service that knows two keys, one of which leads to a service that is down. */
export async function startApprise({ key, down }: { readonly key: string; readonly down: string }): Promise<Provider> {
  return startProvider(({ method, path }) => {
    const [, kind, wanted] = /^\/(notify|json\/urls)\/([^/?]+)/.exec(path) ?? [];
    if (wanted !== key && wanted !== down) return { status: 204 };
    if (kind === 'json/urls') return { status: 200, body: { tags: [], urls: [{ url: 'mailto://…', tags: [] }] } };
    if (method !== 'POST') return { status: 405 };
    return wanted === key
      ? { status: 200, body: { error: null } }
      : { status: 424, body: { error: 'One or more notifications could not be sent.' } };
  });
}
