// Reads a database URL as ActiveRecord's ConnectionUrlResolver and the streaming server's pg-connection-string both read it,
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
  /** Query parameters by name, decoded, without the empty ones, as Rails drops them. */
  readonly parameters: ReadonlyMap<string, string>;
}

const hideValue = true;
const example = 'postgresql://user:password@host:5432/database';
const encode = {
  remedy:
    'Percent-encode the user and the password in the URL (@ is %40, : is %3A, / is %2F, ? is %3F, # is %23, % is %25, a space is %20), or leave the password out and set DB_PASS',
  hideValue,
};

/**
 * Takes a URL apart; what the query says wins over what stands before it, as in Rails and libpq. Throws `ValueError`, never
 * with any of the URL's content.
 * @see https://github.com/rails/rails/blob/main/activerecord/lib/active_record/database_configurations/connection_url_resolver.rb
 */
export function parseDatabaseUrl(text: string): DatabaseUrlParts {
  const rest = withoutScheme(text);
  const [beforeQuery, query] = splitAt(rest, '?');
  // An @ behind the question mark: the question mark was the password's.
  if (/[#\s]/.test(rest) || beforeQuery.split('@').length > 2 || query?.includes('@') === true) throw ambiguous();
  const at = beforeQuery.indexOf('@');
  const [user, password] = splitAt(at === -1 ? '' : beforeQuery.slice(0, at), ':');
  const [authority, path] = splitAt(beforeQuery.slice(at + 1), '/');
  // What RFC 3986 allows in user information, and so all that Ruby's URI takes.
  if (!/^(?:[\w.~!$&'()*+,;=:-]|%[0-9a-f]{2})*$/i.test(`${user}:${password ?? ''}`)) throw ambiguous();
  const place = /^(\[[0-9a-f:.]+\]|[^:[\]]*)(?::(\d*))?$/i.exec(authority);
  if (place === null || authority.includes(',')) {
    throw new ValueError('its host and port cannot be told apart, or it names several hosts', {
      remedy: `Write one host as in ${example}, an IPv6 address in brackets; if a password holds a '/', write it as %2F`,
      hideValue,
    });
  }
  if (place[2] !== undefined && place[2] !== '' && (Number(place[2]) < 1 || Number(place[2]) > 65_535)) {
    throw new ValueError('its port is not a number from 1 to 65535', { remedy: `Write ${example}`, hideValue });
  }
  const parameters = parseParameters(query ?? '');
  const parts: DatabaseUrlParts = {
    host: parameters.get('host') ?? filled(decode((place[1] ?? '').replaceAll(/^\[|\]$/g, ''))),
    port: parameters.get('port') ?? filled(place[2]),
    database: parameters.get('database') ?? parameters.get('dbname') ?? filled(decode(path ?? '')),
    user: parameters.get('username') ?? parameters.get('user') ?? filled(decode(user)),
    password: parameters.get('password') ?? filled(decode(password ?? '')),
    parameters,
  };
  refuseDisagreement(text, parts);
  return parts;
}

function withoutScheme(text: string): string {
  const match = /^([a-z][a-z0-9+.-]*):\/\//i.exec(text);
  const scheme = match?.[1]?.toLowerCase();
  if (match !== null && (scheme === 'postgres' || scheme === 'postgresql')) return text.slice(match[0].length);
  const problem = /^["']/.test(text)
    ? 'the quotes are part of the value'
    : scheme === undefined
      ? 'not a database URL'
      : 'not the URL of a PostgreSQL database';
  throw new ValueError(problem, { remedy: `Write ${example}`, hideValue });
}

function parseParameters(query: string): ReadonlyMap<string, string> {
  const parameters = new Map<string, string>();
  for (const pair of query.split('&').filter((one) => one !== '')) {
    const [name, value] = splitAt(pair, '=');
    // A plus is a plus for Rails and libpq, and a space for the streaming server.
    if (name === 'password' && value?.includes('+') === true) throw ambiguous();
    const decoded = decode(value ?? '');
    if (decoded === '') parameters.delete(decode(name));
    else parameters.set(decode(name), decoded);
  }
  return parameters;
}

// The streaming server's own parser is the judge: where it reads the credentials differently, somebody is wrong.
function refuseDisagreement(text: string, parts: DatabaseUrlParts): void {
  let theirs: ReturnType<typeof parse>;
  try {
    // Without those of TLS: the parser opens certificate files, and complains about modes that libpq has.
    theirs = parse(text.replaceAll(/(?<=[?&])(?:ssl\w*|uselibpqcompat)=[^&]*/gi, ''));
  } catch {
    throw new ValueError("Mastodon's streaming server cannot read it", { remedy: `Write ${example}`, hideValue });
  }
  if ((theirs.password ?? '') !== (parts.password ?? '') || (theirs.user ?? '') !== (parts.user ?? '')) {
    throw ambiguous();
  }
}

function ambiguous(): ValueError {
  return new ValueError("its user or password holds a character that Mastodon's programs read differently", encode);
}

// As Ruby's URI does it: percent signs only, a plus stays a plus.
function decode(text: string): string {
  try {
    const decoded = decodeURIComponent(text);
    if (!decoded.includes('\0')) return decoded;
  } catch {
    // Told below.
  }
  throw new ValueError('it is not percent-encoded UTF-8', encode);
}

function splitAt(text: string, separator: string): readonly [string, string | undefined] {
  const index = text.indexOf(separator);
  return index === -1 ? [text, undefined] : [text.slice(0, index), text.slice(index + 1)];
}

function filled(text: string | undefined): string | undefined {
  return text === '' ? undefined : text;
}
