// Whether mail goes through the proxy. What Mastodon itself reaches beside it must not be sought out in the wide world, where no
// message would ever arrive.

import { isNearby } from '../config/bucket.ts';
import type { ProxySettings } from '../config/proxy.ts';

/**
 * The proxy through which a mail server is reached; null: none. One that is near, by its name or address, is reached directly: a
 * proxy for the web seldom leads to the container beside us.
 */
export function mailProxy(
  proxy: ProxySettings | null,
  { host, port }: { readonly host: string; readonly port: number },
): string | null {
  const url = URL.parse(`https://${host.includes(':') ? `[${host}]` : host}:${port}`);
  if (proxy?.HTTPS_PROXY === undefined || url === null || isNearby(url)) return null;
  const direct = (proxy.NO_PROXY ?? '').split(/[\s,]+/).some((entry) => {
    const name = entry.replace(/^\*?\.?/, '').toLowerCase();
    if (entry === '*') return true;
    return (
      name !== '' &&
      [host.toLowerCase(), `${host.toLowerCase()}:${port}`].some((one) => one === name || one.endsWith(`.${name}`))
    );
  });
  return direct ? null : proxy.HTTPS_PROXY;
}
