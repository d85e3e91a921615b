// Which pg_restore fits: it must read what the dump's own pg_dump wrote, and speak to the server that is the target.

import type { ClientPrograms } from '../database/clients.ts';
import { AppError } from '../errors.ts';
import type { Manifest } from '../snapshots/manifest.ts';
import type { TargetServer } from './target.ts';

/** The target's own version, else the next newer, else the newest older one that can read the archive. @throws AppError `restore`. */
export function chooseRestoreClient(
  clients: readonly ClientPrograms[],
  { server, manifest }: { readonly server: Pick<TargetServer, 'major'>; readonly manifest: Pick<Manifest, 'database'> },
): ClientPrograms {
  const writer = Number.parseInt(manifest.database.clientVersion, 10);
  const readers = clients.filter(({ major }) => major >= writer).toSorted((a, b) => a.major - b.major);
  const fitting = readers.find(({ major }) => major >= server.major) ?? readers.at(-1);
  if (fitting !== undefined) return fitting;
  throw new AppError(
    'restore',
    `The dump was written by pg_dump ${manifest.database.clientVersion}, and no pg_restore here can read that`,
    { hint: `Install the client: apt-get install postgresql-client-${writer}, or set BACKUP_PG_BIN to its directory.` },
  );
}
