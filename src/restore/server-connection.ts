// A connection to a server rather than to one of its databases: the one that is restored may have to be renamed, and nobody may
// be in it then.

import type { Client } from 'pg';
import { connect, type ConnectionSettings } from '../database/connection.ts';

/**
 * Connects to the server, not to `name`, which may have to be renamed: through `postgres`, which every server has unless
 * somebody dropped it.
 */
export async function connectToServer(
  connection: ConnectionSettings,
  { name, signal }: { readonly name: string; readonly signal: AbortSignal },
): Promise<Client & AsyncDisposable> {
  let firstError: unknown;
  const candidates = new Set(['postgres', 'template1', connection.database].filter((database) => database !== name));
  for (const database of candidates) {
    try {
      return await connect({ ...connection, database }, signal, { queryTimeoutMs: 0 });
    } catch (error) {
      signal.throwIfAborted();
      firstError ??= error;
    }
  }
  throw firstError;
}
