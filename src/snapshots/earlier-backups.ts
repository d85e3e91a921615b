// What this instance already has in its stores, asked once a run: whether its backups are encrypted, and which secrets they
// were made with. A store that cannot be asked is left out, for it may answer again when the backup is stored.

import { newestFirst, readCatalogue, type Unsigned } from './catalogue.ts';
import type { Manifest } from './manifest.ts';
import type { Repository } from './repository.ts';

/** The snapshots of one instance in one store, newest first. */
export interface EarlierBackups {
  readonly repository: Pick<Repository, 'store'>;
  readonly snapshots: readonly Manifest[];
}

/** As they were asked for, with what nobody who is trusted has signed. */
export interface AskedBackups extends EarlierBackups {
  readonly unsigned: readonly Unsigned[];
}

/** Asks every store for the snapshots of `instance`; `onSilent` is told of those that could not be asked. */
export async function readEarlierBackups(
  repositories: readonly Repository[],
  options: {
    readonly instance: string;
    readonly signal: AbortSignal;
    readonly onSilent: (repository: Repository, error: unknown) => void;
  },
): Promise<readonly AskedBackups[]> {
  const answers = await Promise.all(
    repositories.map(async (repository) => {
      try {
        const { snapshots, unsigned } = await readCatalogue(repository, options);
        const isOwn = ({ instance }: Manifest): boolean => instance === options.instance;
        return [
          {
            repository,
            snapshots: snapshots.filter(isOwn),
            unsigned: unsigned.filter(({ manifest }) => isOwn(manifest)),
          },
        ];
      } catch (error) {
        options.signal.throwIfAborted();
        options.onSilent(repository, error);
        return [];
      }
    }),
  );
  return answers.flat();
}

/** The newest snapshot whose manifest has fingerprints of Mastodon's secrets; undefined when none has. */
export function newestWithFingerprints(earlier: readonly EarlierBackups[]): Manifest | undefined {
  return earlier
    .flatMap(({ snapshots }) => snapshots)
    .toSorted(newestFirst)
    .find(({ secrets }) => secrets !== null);
}
