// Whether a dump has room where it goes, by what the last one took. A disk that fills after hours has cost the database a dump for
// nothing; where Mastodon lives on the same disk, its last byte is Mastodon's last.

import type { Space } from '../disk/directory.ts';
import { AppError, describeError } from '../errors.ts';
import type { BackupOptions } from './backup.ts';
import type { EarlierBackups } from '../snapshots/earlier-backups.ts';
import { dumpOf, type Manifest } from '../snapshots/manifest.ts';
import type { Repository } from '../snapshots/repository.ts';
import { formatBytes } from '../text/format.ts';

/** What the next snapshot may take, in bytes: what the last one took, with the growth of the database since. */
export function expectedBytes(
  last: Manifest,
  { compression, databaseBytes }: { readonly compression: string; readonly databaseBytes: number },
): number {
  const { bytes, content } = dumpOf(last);
  const growth = last.database.sizeBytes > 0 && databaseBytes > 0 ? databaseBytes / last.database.sizeBytes : 1;
  return Math.ceil((compression === 'none' ? content.bytes : bytes) * growth);
}

/** Too little space, with the figures. */
export function describeLack({ freeBytes, totalBytes }: Space, expected: number): string {
  return `the next backup takes about ${formatBytes(expected)}, by what the last one took, and ${formatBytes(freeBytes)} of ${formatBytes(totalBytes)} are free`;
}

/** What to do about it. */
export const roomRemedy =
  'Free space there, keep fewer backups (BACKUP_KEEP_…), or set BACKUP_LOCAL_DIR to a larger disk.';

/** The places that have no room for the next snapshot, each with the reason. What cannot be asked is found out by the dump. */
export async function placesWithoutRoom(
  stores: readonly Repository[],
  options: Pick<BackupOptions, 'earlier' | 'log' | 'signal'> & {
    readonly compression: string;
    readonly databaseBytes: number;
  },
): Promise<ReadonlyMap<Repository, AppError>> {
  const { signal, log } = options;
  const without = new Map<Repository, AppError>();
  for (const repository of stores) {
    const { store } = repository;
    const last = newestOf(options.earlier, repository);
    if (last === undefined) continue;
    try {
      const space = await store.space({ signal });
      const expected = expectedBytes(last, options);
      if (space === null || space.freeBytes >= expected) continue;
      without.set(
        repository,
        new AppError('store', `There is no room in the ${store.description}: ${describeLack(space, expected)}`, {
          reason: 'no-space',
          hint: roomRemedy,
        }),
      );
    } catch (error) {
      signal.throwIfAborted();
      log.debug({ store: store.description }, `Its space cannot be asked: ${describeError(error)}`);
    }
  }
  return without;
}

// Of this place: what another one took says nothing of what fits here.
function newestOf(earlier: readonly EarlierBackups[], { store }: Repository): Manifest | undefined {
  return earlier.find(({ repository }) => repository.store === store)?.snapshots[0];
}
