// Reads DATABASE_URL as ActiveRecord's ConnectionUrlResolver and the streaming server's pg-connection-string both read it,
// and refuses what they read differently: a password with a bare `@` or `#` would otherwise connect Mastodon but not its
// backup. libpq never sees the URL; it would take the user's name for a missing database name.

import { parse } from 'pg-connection-string';
import { ValueError } from '../config/problem.ts';

/** What a URL says; undefined where it says nothing. */
export interface DatabaseUrlParts {
  readonly host: string | undefined;
  readonly port: string | undefined;
  readonly database: string | undefined;
  readonly user: string | undefined;
  readonly password: string | undefined;
  /** Query parameters by name, decoded. */
  readonly parameters: Readonly<Record<string, string>>;
}

const ambiguous =
  'Percent-encode the user and password in the URL (@ is %40, # is %23, % is %25, / is %2F, ? is %3F), or leave the password out and set DB_PASS';

/** Takes a URL apart. Throws `ValueError`, never with the URL's content. */
export function parseDatabaseUrl(text: string): DatabaseUrlParts {
  const scheme = /^([a-z0-9+.-]+):\/\//i.exec(text)?.[1];
  if (scheme !== 'postgres' && scheme !== 'postgresql') {
    throw new ValueError(
      scheme === undefined ? 'not a database URL' : `not a PostgreSQL URL but '${scheme}'`,
      'Write postgresql://user:password@host:5432/database',
    );
  }
  const rest = text.slice(scheme.length + 3);
  const query = rest.indexOf('?');
  const beforeQuery = query === -1 ? rest : rest.slice(0, query);
  if (
    /[#\s]/.test(rest) ||
    (beforeQuery.match(/@/g)?.length ?? 0) > 1 ||
    (query !== -1 && rest.slice(query).includes('@'))
  ) {
    throw new ValueError('its user or password holds a character that programs read differently', ambiguous);
  }
  const at = beforeQuery.lastIndexOf('@');
  const credentials = at === -1 ? '' : beforeQuery.slice(0, at);
  const location = at === -1 ? beforeQuery : beforeQuery.slice(at + 1);
  if (credentials.includes('/') || /%(?![0-9a-f]{2})/i.test(rest)) {
    throw new ValueError('its user or password holds a character that programs read differently', ambiguous);
  }
  const colon = credentials.indexOf(':');
  const user = colon === -1 ? credentials : credentials.slice(0, colon);
  const password = colon === -1 ? '' : credentials.slice(colon + 1);
  const slash = location.indexOf('/');
  const authority = slash === -1 ? location : location.slice(0, slash);
  const host = /^(\[[^\]]*\]|[^:[\]]*)(?::(\d*))?$/.exec(authority);
  if (host === null)
    throw new ValueError('its host and port cannot be told apart', 'Write host:port, an IPv6 address in brackets');
  const parts: DatabaseUrlParts = {
    host: blankToUndefined(decode(host[1] ?? '').replace(/^\[|\]$/g, '')),
    port: blankToUndefined(host[2] ?? ''),
    database: slash === -1 ? undefined : blankToUndefined(decode(location.slice(slash + 1))),
    user: blankToUndefined(decode(user)),
    password: blankToUndefined(decode(password)),
    parameters: parseParameters(query === -1 ? '' : rest.slice(query + 1)),
  };
  refuseDisagreement(text, parts);
  return parts;
}

function parseParameters(query: string): Readonly<Record<string, string>> {
  const pairs = query.split('&').filter((pair) => pair !== '');
  return Object.fromEntries(
    pairs.map((pair) => {
      const equals = pair.indexOf('=');
      return equals === -1 ? [pair, ''] : [pair.slice(0, equals), decode(pair.slice(equals + 1))];
    }),
  );
}

// The streaming server's own parser is the judge: where it reads the credentials differently, somebody is wrong.
function refuseDisagreement(text: string, parts: DatabaseUrlParts): void {
  let theirs: ReturnType<typeof parse>;
  try {
    // Certificate files are opened by the parser; they are libpq's business here.
    theirs = parse(
      text.replace(/[?&](sslmode|sslrootcert|sslcert|sslkey|uselibpqcompat)=[^&]*/g, (match) => match.charAt(0)),
    );
  } catch {
    throw new ValueError('Mastodon’s streaming server cannot read it', ambiguous);
  }
  if ((theirs.password ?? '') !== (parts.password ?? '') || (theirs.user ?? '') !== (parts.user ?? '')) {
    throw new ValueError('Rails and the streaming server read its user or password differently', ambiguous);
  }
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    throw new ValueError('it is not valid percent-encoding of UTF-8', ambiguous);
  }
}

function blankToUndefined(text: string): string | undefined {
  return text === '' ? undefined : text;
}
