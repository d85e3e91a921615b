// Uptime Kuma's push monitors: an unknown or paused one is refused in the body.

import { startProvider, type Provider } from './provider.ts';

/** A service that knows one monitor. */
export async function startUptimeKuma({ token }: { readonly token: string }): Promise<Provider> {
  return startProvider(({ path }) =>
    path.startsWith(`/api/push/${token}?`)
      ? { status: 200, body: { ok: true } }
      : { status: 200, body: { ok: false, msg: 'Monitor not found or not active.' } },
  );
}
