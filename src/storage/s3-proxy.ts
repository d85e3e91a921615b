// Whether it is the proxy that cannot be reached, and not the store behind it: the system names the address that it tried, and an
// administrator who is told to check the endpoint looks in the wrong place.

import type { ProxySettings } from '../config/proxy.ts';

interface Failure {
  readonly code?: unknown;
  /** What could not be resolved. */
  readonly hostname?: unknown;
  /** What could not be connected to. */
  readonly address?: unknown;
  readonly port?: unknown;
}

const isUnreached = /^(?:ENOTFOUND|EAI_AGAIN|ECONNREFUSED|EHOSTUNREACH|ENETUNREACH|ETIMEDOUT)$/;

/** Whether a failure is that of reaching the proxy; not claimed where the endpoint (null: AWS) has the same address or port. */
export function isOfProxy(
  error: unknown,
  { proxy, endpoint }: { readonly proxy?: ProxySettings; readonly endpoint: string | null },
): boolean {
  const own = placeOf(endpoint ?? 'https://amazonaws.com');
  const proxies = [proxy?.HTTP_PROXY, proxy?.HTTPS_PROXY].filter((one) => one !== undefined).map(placeOf);
  // Of a name with several addresses each has failed for itself.
  const failures = (error instanceof AggregateError ? error.errors : [error]) as readonly Failure[];
  return failures.some(({ code, hostname, port }) => {
    if (typeof code !== 'string' || !isUnreached.test(code)) return false;
    return proxies.some((one) =>
      hostname === undefined ? port === one.port && port !== own.port : hostname === one.host && hostname !== own.host,
    );
  });
}

function placeOf(address: string): { readonly host: string; readonly port: number } {
  const { hostname, port, protocol } = new URL(address);
  return { host: hostname, port: port === '' ? (protocol === 'https:' ? 443 : 80) : Number(port) };
}
