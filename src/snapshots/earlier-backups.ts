// What this instance already has in its stores, asked once a run: whether its backups are encrypted, and which secrets they
// were made with.

import { newestFirst } from '../schedule/due.ts';
import type { Unsigned } from './catalogue.ts';
import { dumpOf, type Manifest } from './manifest.ts';
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

/** The newest snapshot whose manifest has fingerprints of Mastodon's secrets; undefined when none has. */
export function newestWithFingerprints(earlier: readonly EarlierBackups[]): Manifest | undefined {
  return earlier
    .flatMap(({ snapshots }) => snapshots)
    .toSorted(newestFirst)
    .find(({ secrets }) => secrets !== null);
}

/** The bytes of the newest dump of this database; null: there is none. */
export function lastDumpBytes(
  earlier: readonly EarlierBackups[],
  { systemIdentifier, name }: Pick<Manifest['database'], 'systemIdentifier' | 'name'>,
): number | null {
  const [newest] = earlier
    .flatMap(({ snapshots }) => snapshots)
    .filter(({ database }) => database.systemIdentifier === systemIdentifier && database.name === name)
    .toSorted(newestFirst);
  return newest === undefined ? null : dumpOf(newest).content.bytes;
}
