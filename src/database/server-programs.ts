// Finds the programs of a PostgreSQL server, for throw-away servers of our own. They need not be where the clients are.

import { access, constants } from 'node:fs/promises';
import path from 'node:path';
import { versionedDirectories } from './clients.ts';
import { askVersion, type ProgramVersion } from './program-version.ts';

/** One installed server. */
export interface ServerPrograms extends ProgramVersion {
  /** Directory that holds `initdb` and `postgres`. */
  readonly directory: string;
}

/** All servers that can be found, one per major version, the oldest first; `directory` (BACKUP_PG_BIN) is looked at first. */
export async function findServers(options: {
  readonly directory: string | null;
  /** The PATH variable. */
  readonly path: string;
  readonly signal: AbortSignal;
}): Promise<readonly ServerPrograms[]> {
  const candidates = [
    ...(options.directory === null ? [] : [options.directory]),
    ...(await versionedDirectories()),
    ...options.path.split(':').filter((entry) => entry !== ''),
  ];
  const found = new Map<number, ServerPrograms>();
  for (const directory of candidates) {
    const server = await inspect(directory, options.signal).catch(() => undefined);
    if (server !== undefined && !found.has(server.major)) found.set(server.major, server);
  }
  options.signal.throwIfAborted();
  return [...found.values()].toSorted((a, b) => a.major - b.major);
}

/** The server for a dump of a `major` server: the same major version, else the next newer; undefined when there is none. */
export function chooseServer(servers: readonly ServerPrograms[], major: number): ServerPrograms | undefined {
  return servers.find((server) => server.major >= major);
}

async function inspect(directory: string, signal: AbortSignal): Promise<ServerPrograms> {
  await access(path.join(directory, 'initdb'), constants.X_OK);
  return { directory, ...(await askVersion(path.join(directory, 'postgres'), { program: 'postgres', signal })) };
}
