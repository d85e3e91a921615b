// What is missing from a place, in words: `doctor`, health and messages say it alike.

import type { SnapshotRecord } from '../state/records.ts';
import { plural } from '../text/table.ts';

/** What a place was known to hold and does not, in a sentence; `missing` has at least one. */
export function describeMissing(missing: readonly SnapshotRecord[], place: string): string {
  const [newest] = missing.toSorted((a, b) => b.dataAt.getTime() - a.dataAt.getTime());
  const count = plural(missing.length, 'snapshot');
  const name = newest === undefined ? '' : `${newest.tier}/${newest.id}`;
  return `The ${place} lacks ${count} that it was known to hold, ${missing.length === 1 ? name : `the newest of them ${name}`}`;
}
