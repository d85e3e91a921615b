// The places where backups are: what each holds, since when it could not be read, and what it missed.

import type { FailureRecord, SnapshotRecord, StoreRecord } from '../state/records.ts';
import type { StatusFacts } from './status.ts';

/** A destination. Times are ISO 8601 where they were remembered so. */
export interface DestinationView {
  readonly name: string;
  readonly description: string;
  /** When it was last read with success; null: never. */
  readonly readAt: string | null;
  /** Why it cannot be read now; null: it can. */
  readonly error: string | null;
  readonly count: number;
  readonly storedBytes: number;
  readonly newestDataAt: Date | null;
  readonly oldestDataAt: Date | null;
  /** What is there beside the snapshots, by what it is, such as `damaged` or `foreign`. */
  readonly apart: Readonly<Record<string, number>>;
  /** Why it missed the last backup; null: it did not. */
  readonly missed: FailureRecord | null;
}

/** Looks at every destination. */
export function viewDestinations({
  stores,
  attempts,
}: Pick<StatusFacts, 'stores' | 'attempts'>): readonly DestinationView[] {
  return stores.map((store): DestinationView => {
    const { name, description, readAt, error, snapshots } = store;
    const times = snapshots.map(({ dataAt }) => dataAt.getTime());
    return {
      name,
      description,
      readAt,
      error,
      count: snapshots.length,
      storedBytes: sizeOf(snapshots),
      newestDataAt: times.length === 0 ? null : new Date(times.reduce((a, b) => Math.max(a, b))),
      oldestDataAt: times.length === 0 ? null : new Date(times.reduce((a, b) => Math.min(a, b))),
      apart: { ...(store.apart ?? known(store)), ...lacking(store) },
      missed: attempts.destinationFailures.find(({ place }) => place === description)?.failure ?? null,
    };
  });
}

function sizeOf(snapshots: readonly SnapshotRecord[]): number {
  return snapshots.reduce((sum, { objectBytes }) => sum + objectBytes, 0);
}

function known({ damagedCount, unreadableCount }: StoreRecord): Readonly<Record<string, number>> {
  return {
    ...(damagedCount === 0 ? {} : { damaged: damagedCount }),
    ...(unreadableCount === 0 ? {} : { unreadable: unreadableCount }),
  };
}

function lacking({ missing = [] }: StoreRecord): Readonly<Record<string, number>> {
  return missing.length === 0 ? {} : { missing: missing.length };
}
