// A login with libpq's eyes: what our own driver accepts of certificates, key files and passwords, pg_dump may not.

import path from 'node:path';
import { AppError } from '../errors.ts';
import { captureChild } from '../stream/child.ts';
import type { ClientPrograms } from './clients.ts';
import { connectionHint, libpqEnvironment, type ConnectionSettings } from './connection.ts';

// No schema has this name, and pg_dump says so after its login, before it locks anything.
const noSchema = 'no such schema of mastodon-backup';

/** Logs in with this pg_dump, reading nothing. Throws AppError `database` with its own words. */
export async function tryLogin(
  connection: ConnectionSettings,
  options: { readonly client: ClientPrograms; readonly serverMajor: number; readonly signal: AbortSignal },
): Promise<void> {
  const { stderrTail } = await captureChild(path.join(options.client.directory, 'pg_dump'), {
    args: ['--no-password', '--strict-names', `--schema="${noSchema}"`],
    env: libpqEnvironment(connection, options),
    signal: options.signal,
  });
  if (/no matching schemas were found/i.test(stderrTail)) return;
  throw new AppError('database', stderrTail.replaceAll('\n', ' | '), {
    hint: connectionHint(stderrTail) ?? 'Check the database settings against those that psql takes.',
  });
}
