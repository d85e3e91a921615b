// Who asks, by the name it asked for. A page of somebody else's can point its own name at this machine ("DNS rebinding") and
// read what is served here with the browser of whoever looks at it: so names that anybody can buy are not answered to.

import { isIP } from 'node:net';

/** Endings that nobody can have in the public DNS (RFC 6761, RFC 6762, RFC 8375, ICANN's `internal`), clusters' `svc` too. */
const privateEndings = ['localhost', 'local', 'internal', 'home.arpa', 'lan', 'test', 'svc'];

/**
 * Whether a request for this `Host` may be one that was meant for us: an address, a name without a dot (a container's, say), one
 * that is never public, or one of `ownNames` or below it. Without the header it is no browser that asks.
 */
export function isMeantForUs(
  host: string | undefined,
  { ownNames }: { readonly ownNames: readonly string[] },
): boolean {
  const name = nameOf(host ?? '');
  if (name === undefined) return false;
  if (isIP(name) > 0 || !name.includes('.')) return true;
  return [...privateEndings, ...ownNames].some((own) => name === own || name.endsWith(`.${own}`));
}

// Without its port, its last dot and the brackets of an IPv6 address; undefined: it is no name at all.
function nameOf(host: string): string | undefined {
  const bracketed = /^\[([0-9a-f:.]+)\](?::\d*)?$/i.exec(host)?.[1];
  if (bracketed !== undefined) return isIP(bracketed) === 6 ? bracketed : undefined;
  const match = /^([a-z0-9._-]*)(?::\d*)?$/i.exec(host);
  return match?.[1]?.toLowerCase().replace(/\.$/, '');
}
