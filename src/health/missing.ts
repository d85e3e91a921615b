// What is missing from a place, in words: `doctor`, health and messages say it alike.

import type { MissingRecord, SnapshotRecord, StoreRecord, WithheldRecord } from '../state/records.ts';
import { plural } from '../text/table.ts';

/** What a place was known to hold and does not, in a sentence; `missing` has at least one. */
export function describeMissing(missing: readonly MissingRecord[], place: string): string {
  const sentence = `The ${place} lacks ${plural(missing.length, 'snapshot')} that it was known to hold, ${nameNewest(missing)}`;
  const replaced = missing.filter(({ reason }) => reason !== undefined);
  const newest = newestOf(replaced);
  if (newest === undefined) return sentence;
  const whose = missing.length === 1 ? 'it' : `${replaced.length} of them`;
  return `${sentence}; something else is in the place of ${whose} (${newest.tier}/${newest.id}: ${newest.reason})`;
}

/** A refusal that was found again so much later, in milliseconds, passes by no itself. */
const lastingMs = 3_600_000;

/** What a place does not give for an hour and longer: what a store refuses once may be there at the next look. */
export function refusedFor({ withheld = [], readAt }: StoreRecord): readonly WithheldRecord[] {
  return withheld.filter(
    ({ reason, since }) =>
      reason !== undefined && readAt !== null && Date.parse(readAt) - Date.parse(since) >= lastingMs,
  );
}

/** What a place was known to hold and does not give, in a sentence; `refused` has at least one. */
export function describeRefused(refused: readonly WithheldRecord[], place: string): string {
  const count = plural(refused.length, 'snapshot');
  return `The ${place} does not give ${count} that it was known to hold, ${nameNewest(refused)}: ${newestOf(refused)?.reason}`;
}

function nameNewest(all: readonly SnapshotRecord[]): string {
  const newest = newestOf(all);
  const name = newest === undefined ? '' : `${newest.tier}/${newest.id}`;
  return all.length === 1 ? name : `the newest of them ${name}`;
}

function newestOf<Snapshot extends SnapshotRecord>(all: readonly Snapshot[]): Snapshot | undefined {
  return all.toSorted((a, b) => b.dataAt.getTime() - a.dataAt.getTime())[0];
}
