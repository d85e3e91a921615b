// Where the new server is: Mastodon's own connection with another host in it, since the host is the one word that is changed
// in the end. What works here with the same user and password works for Mastodon then.

import type { ConnectionSettings } from '../database/connection.ts';
import { AppError } from '../errors.ts';

const usualPort = 5_432;

/** The connection to `HOST`, `HOST:PORT` or `[IPv6]:PORT`. @throws AppError `usage`. */
export function targetConnection(text: string, current: ConnectionSettings): ConnectionSettings {
  const match = /^(?:\[([0-9a-f:.]+)\]|([^\s:/@?]+|\/\S*?))(?::(\d{1,5}))?$/i.exec(text.trim());
  const host = match?.[1] ?? match?.[2];
  const port = match?.[3] === undefined ? usualPort : Number(match[3]);
  if (host === undefined || port < 1 || port > 65_535) {
    throw new AppError('usage', `'${text}' is not the name of a server`, {
      hint: 'Name the service of the new server as in the compose file, such as --to db18, or HOST:PORT.',
    });
  }
  if (host === current.host && port === current.port) {
    throw new AppError('usage', `'${text}' is the server that Mastodon uses now`, {
      hint: 'Name the new server, which runs beside the old one: see: mastodon-backup upgrade check.',
    });
  }
  return { ...current, host, port };
}

/** What is changed in `.env.production` to use the new server, and to go back. */
export interface Switch {
  readonly variable: string;
  readonly forward: string;
  readonly back: string;
}

/** The lines, by the variables that the connection came from; the port too where it is another one. */
export function switchLines(
  { from, to }: { readonly from: ConnectionSettings; readonly to: ConnectionSettings },
  { sources }: { readonly sources: readonly string[] },
): readonly Switch[] {
  const url = sources.find((name) => name === 'BACKUP_DATABASE_URL' || name === 'DATABASE_URL');
  if (url !== undefined) {
    const word = ({ host, port }: ConnectionSettings): string => `${host}:${port} in ${url}`;
    const own = { variable: url, forward: word(to), back: word(from) };
    if (url === 'DATABASE_URL') return [own];
    // Mastodon does not read ours: started as it is, it would go on writing into the old server.
    const itself = ({ host, port }: ConnectionSettings): string =>
      `${host}:${port} where Mastodon itself connects: DATABASE_URL, DB_HOST and DB_PORT, or its PgBouncer`;
    return [own, { variable: 'DB_HOST', forward: itself(to), back: itself(from) }];
  }
  const change = (variable: string, [next, current]: readonly [string | number, string | number]): readonly Switch[] =>
    next === current ? [] : [{ variable, forward: `${variable}=${next}`, back: `${variable}=${current}` }];
  return [...change('DB_HOST', [to.host, from.host]), ...change('DB_PORT', [to.port, from.port])];
}
